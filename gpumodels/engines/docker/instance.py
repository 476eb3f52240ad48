"""One container: found by its name, looked at, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests
from docker.errors import APIError, DockerException, NotFound

from gpumodels.engines import following
from gpumodels.engines.base import Ending, Instance
from gpumodels.engines.docker import daemon, labels
from gpumodels.errors import EngineError, EngineUnavailable
from gpumodels.lease import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient
    from docker.models.containers import Container

    from gpumodels.engines.docker.engine import DockerEngine

_MARGIN = 2.0  # seconds that the daemon may need beyond the grace
#: Seconds that a busy daemon may take to remove a container.
_REMOVED_WITHIN = 15


class DockerInstance(Instance):
    """A container, found by its name, so that one can be removed whose creation was never answered."""

    def __init__(self, engine: DockerEngine, instance_id: str) -> None:
        self._engine = engine
        self.name = f"gpumodels-{instance_id}"
        self.id = instance_id

    def _container(self) -> Container | None:
        try:
            found = self._engine.client.containers.get(self.name)
        except NotFound:
            return None
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailable(f"Docker does not answer, so {self.id} cannot be reached: {error}.") from error
        return found if found.labels.get(labels.INSTANCE) == self.id else None

    def ending(self) -> Ending | None:
        container = self._container()
        if container is None:
            return Ending(None)
        state = container.attrs["State"]
        if state["Status"] in ("exited", "dead"):
            return Ending(state["ExitCode"], bool(state.get("OOMKilled")))
        return None

    def logs(self, lines: int = 40) -> str:
        try:
            container = self._container()
            return "" if container is None else container.logs(tail=lines).decode(errors="replace").rstrip("\n")
        except (EngineUnavailable, DockerException, requests.RequestException):
            return ""

    def follow(self, lines: int = 40) -> Iterator[str]:
        container = self._container()
        if container is not None:
            with daemon.answering(f"the log of {self.id} was read"):
                yield from following.lines(container.logs(stream=True, follow=True, tail=lines))

    def stop(self, grace: float) -> None:
        container = self._container()
        if container is None:
            return
        try:
            # The leash then gives the server its whole grace; SIGTERM is for a daemon in a hurry.
            container.kill("SIGINT")
            container.wait(timeout=grace + _MARGIN)
        except (DockerException, requests.RequestException):
            pass  # not running, paused, or too slow: removing it by force is next
        self.remove()

    def remove(self) -> None:
        container = self._container()
        if container is not None:
            remove(self._engine.client, self.name)
        processes.kill_marked(self.id)  # what of it runs outside: whoever leads others' clients to it


def remove(client: DockerClient, container: str) -> None:
    """Remove a container, by name or id, whatever state it is in; silent if it is gone or going."""
    try:
        with daemon.waiting(client, _REMOVED_WITHIN):
            client.api.remove_container(container, force=True, v=True)
    except APIError as error:
        if error.status_code not in (requests.codes.not_found, requests.codes.conflict):
            raise EngineError(f"Docker could not remove {container}: {error.explanation or error}.") from error
    except (DockerException, requests.RequestException) as error:
        raise EngineUnavailable(f"Docker does not answer, so {container} could not be removed: {error}.") from error
