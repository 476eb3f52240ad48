"""The docker engine: instances are containers that see their lease, their socket and their shared memory, and no
more.
"""

from __future__ import annotations

import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.types import DeviceRequest, LogConfig, Mount

from gpumodels import devices
from gpumodels.engines.base import Engine, Instance, LaunchPlan
from gpumodels.engines.docker import base_image, daemon, image, labels
from gpumodels.engines.docker.instance import DockerInstance, remove
from gpumodels.errors import EngineError, EngineUnavailable, LeaseUnseen
from gpumodels.lease import processes
from gpumodels.lease.runtime import SHARED_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient

    from gpumodels.catalog import Progress
    from gpumodels.catalog.spec import Flavour, ModelSpec
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.record import InstanceRecord

_INSIDE = "/run/gpumodels"
#: Where the machine's /dev/shm lies, with the shared memory of others' clients; only in an instance served to them.
_PEERS = "/run/gpumodels-shm"
#: Who runs an instance when root asks: nobody's account on Debian or in usual images, so it owns nothing else.
_UNPRIVILEGED = (65532, 65532)
_TMP = "exec,mode=1777,size=4g"  # JIT compilers write and run code there; it is the server's HOME too
_PIDS = 4096
_LOGS = LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"})
#: How daemons say that they do not know a path: Linux, then Docker Desktop.
_FILES_UNSEEN = ("bind source path does not exist", "mounts denied", "Mounts denied")
#: Seconds that a busy daemon may take to make an image or a container.
_MADE_WITHIN = 60


class DockerEngine(Engine):
    """Runs containers on the daemon of DOCKER_HOST or of the CLI's current context."""

    name = "docker"

    @cached_property
    def client(self) -> DockerClient:
        client = daemon.connect()
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def daemon(self) -> daemon.Daemon:
        return daemon.inspect(self.client)

    @property
    def instance_user(self) -> tuple[int, int] | None:  # type: ignore[override]
        return _UNPRIVILEGED if os.getuid() == 0 and not self.daemon.rootless else None

    def check(self) -> None:
        self.daemon  # noqa: B018  connecting and asking is the check

    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        if flavour == "gpu" and self.daemon.gpu_access == "none":
            raise EngineUnavailable(
                "Docker here cannot give a GPU to a container: it knows neither CDI devices nor the nvidia runtime. "
                "Install the NVIDIA container toolkit, or use `--engine process`."
            )
        with daemon.waiting(self.client, _MADE_WITHIN):
            base = base_image.find(self.client, progress)
            return image.build(self.client, spec, flavour, base, progress, fresh=fresh)

    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        instance = DockerInstance(self, plan.record.id)
        try:
            with daemon.waiting(self.client, _MADE_WITHIN):
                container_id = self._create(plan, instance.name)
                note({"container": container_id})
                self.client.api.start(container_id)
        except ImageNotFound as error:
            raise EngineError(
                f"The image of {plan.spec.name!r} vanished while it was loading. Load it again."
            ) from error
        except APIError as error:
            if any(words in str(error) for words in _FILES_UNSEEN):
                raise LeaseUnseen(
                    "Docker does not see this machine's files (is this kernel in a container, or Docker on another "
                    "machine?), so it could not end the model with the notebook. Use `--engine process`."
                ) from error
            raise EngineError(f"Docker could not start {plan.spec.name!r}: {error.explanation or error}.") from error
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailable(
                f"Docker stopped answering while {plan.spec.name!r} was started: {error}."
            ) from error
        return instance

    def _create(self, plan: LaunchPlan, name: str) -> str:
        # On a thread of its own, for which leaving the block waits: an interrupt would lose a container that the
        # daemon is just making, and whoever undoes the load would find nothing to remove.
        with ThreadPoolExecutor(1) as pool:
            options = self._options(plan, name)
            container = pool.submit(self.client.containers.create, plan.prepared, _command(plan), **options).result()
        return str(container.id)

    def _options(self, plan: LaunchPlan, name: str) -> dict[str, Any]:
        place = labels.of_place(plan.directory.path.parent, plan.runtime_identity)
        options: dict[str, Any] = {
            "name": name,
            "labels": {labels.INSTANCE: plan.record.id, labels.MODEL: plan.spec.name, **place},
            "environment": _environment(plan),
            "mounts": _mounts(plan),
            "network_mode": "none",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "tmpfs": {"/tmp": _TMP},  # noqa: S108
            "pids_limit": _PIDS,
            "log_config": _LOGS,
            "working_dir": "/tmp",  # noqa: S108
            **self._user(),
        }
        if plan.devices:
            options |= self._gpu_options(plan)
        return options

    def _user(self) -> dict[str, Any]:
        if self.daemon.rootless:
            return {"user": "0:0"}  # which is the calling user, seen from outside
        uid, gid = self.instance_user or (os.getuid(), os.getgid())
        options: dict[str, Any] = {"user": f"{uid}:{gid}"}
        if self.instance_user is None:
            options["group_add"] = [str(group) for group in os.getgroups()]
        if self.daemon.remaps_users:
            options["userns_mode"] = "host"
        return options

    def _gpu_options(self, plan: LaunchPlan) -> dict[str, Any]:
        uuids = [device.uuid for device in plan.devices]
        if self.daemon.gpu_access == "cdi":
            return {"device_requests": [DeviceRequest(driver="cdi", device_ids=[f"nvidia.com/gpu={u}" for u in uuids])]}
        if self.daemon.gpu_access == "device request":
            request = DeviceRequest(driver="nvidia", device_ids=uuids, capabilities=[["gpu"]])
            return {"device_requests": [request]}
        return {"runtime": "nvidia"}  # which reads NVIDIA_VISIBLE_DEVICES

    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:  # noqa: ARG002
        return DockerInstance(self, record.id)

    def sweep(self, runtime: Path, identity: str) -> list[str]:
        removed = []
        place = labels.of_place(runtime, identity)
        boot = place.pop(labels.BOOT)
        here: dict[str, Any] = {
            "label": [f"{labels.UID}={place[labels.UID]}", f"{labels.RUNTIME}={runtime}", labels.INSTANCE]
        }
        try:
            for found in self.client.api.containers(all=True, filters=here):
                if found["State"] != "running" and _is_left(found, runtime, place, boot):
                    remove(self.client, found["Id"])
                    removed.append(str(found["Names"][0]).lstrip("/"))
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailable(f"Docker does not answer, so nothing was swept: {error}.") from error
        return removed


def _is_left(listed: dict[str, Any], runtime: Path, place: dict[str, str], boot: str) -> bool:
    """Whether a container that does not run is ours, and its instance has no directory any more."""
    found = listed["Labels"]
    if found.get(labels.MACHINE) != place[labels.MACHINE]:
        return False
    if found.get(labels.BOOT) != boot:  # of an earlier boot, then: nothing of that can still be starting
        return bool(listed["Created"] < _booted())
    instance_id = found[labels.INSTANCE]
    return found.get(labels.IDENTITY) == place[labels.IDENTITY] and not any(
        (runtime / name).exists() for name in (instance_id, f".swept-{instance_id}")
    )


def _booted() -> int:
    """When the machine started, in seconds since the epoch (proc(5), btime of stat)."""
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))


def _command(plan: LaunchPlan) -> list[str]:
    scratch = ["--scratch", "/dev/shm"] if plan.record.shared_memory else []  # noqa: S108
    return [
        image.PYTHON, "-m", "gpumodels.lease.leash",
        "--lease", f"{_INSIDE}/lease", "--nonce", plan.record.nonce, "--grace", str(plan.record.grace), *scratch, "--",
        image.PYTHON, "-m", "gpumodels.server",
        "--folder", image.FOLDER, "--entry", plan.spec.entry, "--name", plan.spec.name,
        "--device", plan.server_device, "--socket", f"{_INSIDE}/socket",
    ]  # fmt: skip


def _environment(plan: LaunchPlan) -> dict[str, str]:
    return {
        **dict(plan.spec.env),
        **plan.env,
        **devices.environment(
            plan.devices, container=True
        ),  # last: `--gpu` says which GPUs an instance gets, nothing else
        "PYTHONPATH": image.PAYLOAD,
        "HOME": "/tmp",  # noqa: S108
        "GPUMODELS_SHM": "/dev/shm" if plan.record.shared_memory else "",  # noqa: S108
        "GPUMODELS_WEIGHTS": "/weights" if plan.weights else "",
        **plan.settings(_PEERS),
        processes.MARK: plan.record.id,  # tells who holds GPU memory, of the process ids that NVML gives
    }


def _mounts(plan: LaunchPlan) -> list[Mount]:
    """Only these: what a server can write is its socket and its shared memory, and that of others' clients."""
    mounts = [
        Mount(f"{_INSIDE}/lease", str(plan.directory.lease_file), type="bind"),
        Mount(f"{_INSIDE}/socket", str(plan.directory.socket), type="bind"),
    ]
    if plan.record.shared_memory:
        mounts.append(Mount("/dev/shm", plan.record.shared_memory, type="bind"))  # noqa: S108
    if plan.token:
        mounts.append(Mount(_PEERS, str(SHARED_MEMORY), type="bind"))
    if plan.weights is not None:
        mounts.append(Mount("/weights", str(plan.weights), type="bind", read_only=True))
    return mounts
