"""The container of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.engines.base import Ending
from gpumodels.engines.local import LocalInstance
from gpumodels.lease import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.models.containers import Container

    from gpumodels.engines.docker.engine import DockerEngine
    from gpumodels.lease import InstanceDirectory, InstanceRecord


class DockerInstance(LocalInstance):
    """An instance in a container. The container has a fixed name, by which it is found.

    So it can be removed even if the request that made it got no answer, and its id is not known.
    """

    def __init__(self, engine: DockerEngine, record: InstanceRecord, directory: InstanceDirectory) -> None:
        super().__init__(record, directory)
        self._engine = engine
        self.name = f"gpumodels-{record.id}"

    def _container(self) -> Container | None:
        from gpumodels.engines.docker import containers  # noqa: PLC0415  (docker-py is slow to import)

        return containers.find(self._engine.client, self.name, self.id)

    def ending(self) -> Ending | None:
        container = self._container()
        if container is None:
            return Ending(None)
        state = container.attrs["State"]
        if state["Status"] in ("exited", "dead"):
            return Ending(state["ExitCode"], bool(state.get("OOMKilled")))
        return None

    def logs(self, lines: int = 40) -> str:
        from gpumodels.engines.docker import containers  # noqa: PLC0415

        return containers.logs(self._engine, self.name, self.id, lines)

    def follow(self, lines: int = 40) -> Iterator[str]:
        from gpumodels.engines import following  # noqa: PLC0415
        from gpumodels.engines.docker import daemon  # noqa: PLC0415

        container = self._container()
        if container is not None:
            with daemon.answering(f"the log of {self.id} was read"):
                yield from following.lines(container.logs(stream=True, follow=True, tail=lines))

    def stop(self, grace: float) -> None:
        from gpumodels.engines.docker import containers  # noqa: PLC0415

        container = self._container()
        if container is not None:
            containers.ask_to_end(container, grace)
            self.remove()

    def remove(self) -> None:
        from gpumodels.engines.docker import containers  # noqa: PLC0415

        if self._container() is not None:
            containers.remove(self._engine.client, self.name)
        processes.kill_instance(self.id)  # ends the forwarder, which runs outside of the container
