"""Making, finding, ending and sweeping of containers. Every function here calls the Docker daemon."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import requests

from gpumodels.engines import launch
from gpumodels.engines.docker import daemon, image, labels
from gpumodels.errors import EngineError, EngineUnavailable, LeaseUnseen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from docker import DockerClient
    from docker.models.containers import Container

    from gpumodels.engines.base import LaunchPlan
    from gpumodels.engines.docker.engine import DockerEngine

#: The seconds that a busy daemon may take to make an image or a container.
MADE_WITHIN = 60

_TMP = "exec,mode=1777,size=4g"  # `exec` for JIT compilers, which write code there and run it; /tmp is also HOME
_PIDS = 4096
_LOGS = docker.types.LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"})
#: The messages of daemons that do not see a path of this machine, on Linux and in Docker Desktop.
_FILES_UNSEEN = ("bind source path does not exist", "mounts denied", "Mounts denied")
_MARGIN = 2.0  # seconds that the daemon may need in addition to the grace
#: The seconds that a busy daemon may take to remove a container.
_REMOVED_WITHIN = 15


def start(engine: DockerEngine, plan: LaunchPlan, name: str, note: Callable[[dict[str, Any]], None]) -> None:
    """Create and start the container of an instance. In between, call `note` with the container's id.

    Raises LeaseUnseen if the daemon does not see this machine's files, EngineError if Docker refuses, and
    EngineUnavailable if Docker stops answering.
    """
    try:
        with daemon.waiting(engine.client, MADE_WITHIN):
            container_id = _create(engine, plan, name)
            note({"container": container_id})
            engine.client.api.start(container_id)
    except docker.errors.ImageNotFound as error:
        raise EngineError(f"The image of {plan.spec.name!r} vanished while it was loading. Load it again.") from error
    except docker.errors.APIError as error:
        if any(words in str(error) for words in _FILES_UNSEEN):
            raise LeaseUnseen(
                "Docker does not see this machine's files (is this kernel in a container, or Docker on another "
                "machine?), so it could not end the model with the notebook. Use `--engine process`."
            ) from error
        raise EngineError(f"Docker could not start {plan.spec.name!r}: {error.explanation or error}.") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker stopped answering while {plan.spec.name!r} was started: {error}.") from error


def _create(engine: DockerEngine, plan: LaunchPlan, name: str) -> str:
    # The request runs on another thread, and the end of the `with` block waits for it. Otherwise an interrupt could
    # undo the load while the daemon still makes the container, and the container would stay.
    with ThreadPoolExecutor(1) as pool:
        command = launch.command(plan, plan.paths_inside, image.PYTHON, plan.spec.entry)
        options = _options(engine, plan, name)
        container = pool.submit(engine.client.containers.create, plan.prepared, command, **options).result()
    return str(container.id)


def _options(engine: DockerEngine, plan: LaunchPlan, name: str) -> dict[str, Any]:
    location = labels.of_location(plan.directory.path.parent, plan.runtime_identity)
    return {
        "name": name,
        "labels": {labels.INSTANCE: plan.record.id, labels.MODEL: plan.spec.name, **location},
        "environment": {**launch.environment(plan, plan.paths_inside, container=True), "HOME": "/tmp"},  # noqa: S108
        "mounts": _mounts(plan, engine.bakes),
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {"/tmp": _TMP},  # noqa: S108
        "pids_limit": _PIDS,
        "log_config": _LOGS,
        "working_dir": "/tmp",  # noqa: S108
        **_user(engine),
        **(_gpus(engine, plan) if plan.devices else {}),
    }


def _mounts(plan: LaunchPlan, baked: Collection[str]) -> list[docker.types.Mount]:
    """Return the mounts of all artifacts that are not in the image.

    They are mounts of the type bind. Docker's older option `Binds` would create missing directories on a remote host.
    """
    return [
        docker.types.Mount(artifact.inside, str(artifact.here), type="bind", read_only=not artifact.writable)
        for name, artifact in plan.artifacts.items()
        if name not in baked
    ]


def _user(engine: DockerEngine) -> dict[str, Any]:
    if engine.daemon.rootless:
        return {"user": "0:0"}  # root in the container is the calling user outside of it
    uid, gid = engine.instance_user or (os.getuid(), os.getgid())
    options: dict[str, Any] = {"user": f"{uid}:{gid}"}
    if engine.instance_user is None:
        options["group_add"] = [str(group) for group in os.getgroups()]
    if engine.daemon.remaps_users:
        options["userns_mode"] = "host"
    return options


def _gpus(engine: DockerEngine, plan: LaunchPlan) -> dict[str, Any]:
    uuids = [device.uuid for device in plan.devices]
    if engine.daemon.gpu_access == "cdi":
        names = [f"nvidia.com/gpu={uuid}" for uuid in uuids]
        return {"device_requests": [docker.types.DeviceRequest(driver="cdi", device_ids=names)]}
    if engine.daemon.gpu_access == "device request":
        wanted = docker.types.DeviceRequest(driver="nvidia", device_ids=uuids, capabilities=[["gpu"]])
        return {"device_requests": [wanted]}
    return {"runtime": "nvidia"}  # this runtime reads NVIDIA_VISIBLE_DEVICES


def find(client: DockerClient, name: str, instance_id: str) -> Container | None:
    """Return the container with the name `name`. Return None if it is gone or belongs to another instance.

    Raises EngineUnavailable if the daemon does not answer.
    """
    try:
        found = client.containers.get(name)
    except docker.errors.NotFound:
        return None
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker does not answer, so {instance_id} cannot be reached: {error}.") from error
    return found if found.labels.get(labels.INSTANCE) == instance_id else None


def logs(engine: DockerEngine, name: str, instance_id: str, lines: int) -> str:
    """Return the last lines that a container printed; "" if it is gone or the daemon does not answer."""
    try:
        container = find(engine.client, name, instance_id)
        return "" if container is None else container.logs(tail=lines).decode(errors="replace").rstrip("\n")
    except (EngineUnavailable, docker.errors.DockerException, requests.RequestException):
        return ""


def ask_to_end(container: Container, grace: float) -> None:
    """Ask a container to end, and wait until it has ended, at most 2 seconds longer than `grace`."""
    try:
        # After SIGINT the leash gives the server the whole grace. After SIGTERM, the signal of `docker stop`, it does
        # not.
        container.kill("SIGINT")
        container.wait(timeout=grace + _MARGIN)
    except (docker.errors.DockerException, requests.RequestException):
        return  # the container does not run, is paused or is too slow; the caller removes it by force


def remove(client: DockerClient, container: str) -> None:
    """Remove a container by its name or id, even if it runs. Do nothing if it is gone or being removed.

    Raises EngineError if Docker refuses, and EngineUnavailable if the daemon does not answer.
    """
    try:
        with daemon.waiting(client, _REMOVED_WITHIN):
            client.api.remove_container(container, force=True, v=True)
    except docker.errors.APIError as error:
        if error.status_code not in (requests.codes.not_found, requests.codes.conflict):
            raise EngineError(f"Docker could not remove {container}: {error.explanation or error}.") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker does not answer, so {container} could not be removed: {error}.") from error


def sweep(client: DockerClient, runtime: Path, identity: str) -> list[str]:
    """Remove the stopped containers of instances that have no directory in `runtime`. Return the containers' names.

    `identity` is the identity of that runtime directory. Raises EngineUnavailable if the daemon does not answer.
    """
    removed = []
    location = labels.of_location(runtime, identity)
    boot = location.pop(labels.BOOT)
    ours: dict[str, Any] = {
        "label": [f"{labels.UID}={location[labels.UID]}", f"{labels.RUNTIME}={runtime}", labels.INSTANCE]
    }
    try:
        for found in client.api.containers(all=True, filters=ours):
            if found["State"] != "running" and _is_orphaned(found, runtime, location, boot):
                remove(client, found["Id"])
                removed.append(str(found["Names"][0]).lstrip("/"))
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker does not answer, so nothing was swept: {error}.") from error
    return removed


def _is_orphaned(listed: dict[str, Any], runtime: Path, location: dict[str, str], boot: str) -> bool:
    """Return True if a stopped container was made on this machine and can be removed.

    It can if it was made before the machine's last boot, or if the directory of its instance is gone. `location` and
    `boot` are the labels that a new container would have.
    """
    found = listed["Labels"]
    if found.get(labels.MACHINE) != location[labels.MACHINE]:
        return False
    if found.get(labels.BOOT) != boot:  # a container of an earlier boot cannot be starting any more
        return bool(listed["Created"] < _booted())
    instance_id = found[labels.INSTANCE]
    return found.get(labels.IDENTITY) == location[labels.IDENTITY] and not any(
        (runtime / name).exists() for name in (instance_id, f".swept-{instance_id}")
    )


def _booted() -> int:
    """Return the moment when the machine started, in seconds since the epoch (proc(5), btime of stat)."""
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))
