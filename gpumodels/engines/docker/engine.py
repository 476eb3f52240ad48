"""The docker engine. Its instances are containers. Of this machine's files they see only their artifacts.

Importing docker-py takes 0.2 s, and most uses of an instance do not call the daemon. So only the methods that call the
daemon import docker-py.
"""

from __future__ import annotations

import os
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gpumodels.engines.base import Engine, Instance, LaunchPlan
from gpumodels.engines.docker.instance import DockerInstance
from gpumodels.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker import DockerClient

    from gpumodels.catalog import Flavour, ModelSpec, Progress
    from gpumodels.engines.docker.daemon import Daemon
    from gpumodels.lease import InstanceDirectory, InstanceRecord

#: The uid and gid of instances that root loads. No account on Debian or in usual images has them, so they own no file.
_UNPRIVILEGED = (65532, 65532)


class DockerEngine(Engine):
    """An engine that runs containers on the daemon of DOCKER_HOST, or of the current context of the docker command."""

    name = "docker"
    bakes = ("payload", "code")
    fallback = "process"
    unit = "container"

    @cached_property
    def client(self) -> DockerClient:
        """The connection to the daemon. Raises EngineUnavailable."""
        from gpumodels.engines.docker import daemon  # noqa: PLC0415

        client = daemon.connect()
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def daemon(self) -> Daemon:
        """The daemon's properties. Raises EngineUnavailable."""
        from gpumodels.engines.docker import daemon  # noqa: PLC0415

        return daemon.inspect(self.client)

    @property
    def instance_user(self) -> tuple[int, int] | None:  # type: ignore[override]
        """The uid and gid of processes in containers: unprivileged ones if the caller is root, else None.

        None stands for those of the caller. With a rootless daemon it is None for root too.
        """
        return _UNPRIVILEGED if os.getuid() == 0 and not self.daemon.rootless else None

    def check(self) -> None:
        self.daemon  # noqa: B018  (connects to the daemon, which is the check)

    def prepare(self, spec: ModelSpec, flavour: Flavour, progress: Progress, *, fresh: bool = False) -> str:
        from gpumodels.engines.docker import base_image, containers, daemon, image  # noqa: PLC0415

        if flavour == "gpu" and self.daemon.gpu_access == "none":
            raise EngineUnavailable(
                "Docker here cannot give a GPU to a container: it knows neither CDI devices nor the nvidia runtime. "
                "Install the NVIDIA container toolkit, or use `--engine process`."
            )
        with daemon.waiting(self.client, containers.MADE_WITHIN):
            base = base_image.find(self.client, progress)
            return image.build(self.client, spec, flavour, base, progress, fresh=fresh)

    def start(self, plan: LaunchPlan, note: Callable[[dict[str, Any]], None]) -> Instance:
        from gpumodels.engines.docker import containers  # noqa: PLC0415

        instance = DockerInstance(self, plan.record, plan.directory)
        containers.start(self, plan, instance.name, note)
        return instance

    def attach(self, record: InstanceRecord, directory: InstanceDirectory) -> Instance:
        return DockerInstance(self, record, directory)

    def sweep(self, runtime: Path, identity: str) -> list[str]:
        from gpumodels.engines.docker import containers  # noqa: PLC0415

        return containers.sweep(self.client, runtime, identity)
