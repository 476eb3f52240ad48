"""`ServerContext`: the state that the routes of one Jupyter server share."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from gpumodels.jupyter.availability import Docker
from gpumodels.jupyter.feed import Feed
from gpumodels.jupyter.kernels import Kernels
from gpumodels.jupyter.loading import Loading
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from logging import Logger

    from gpumodels.jupyter.feed import State
    from gpumodels.jupyter.gateway.calls import Gateway
    from gpumodels.lease import InstanceRecord


class Models(Protocol):
    """The functions of `gpumodels.instances` that the routes use; tests pass their own."""

    def running(self) -> Sequence[InstanceRecord]:
        """Return the running instances of this user, of all processes."""

    def stop_instance(self, instance_id: str, /, by: str) -> None:
        """Stop an instance; `by` is the text for who stopped it. Raises KeyError if no instance has that id."""

    def sleep_instance(self, instance_id: str, /) -> None:
        """Put an instance to sleep. Raises KeyError if no instance has that id."""


class ServerContext:
    """The state that the routes of one Jupyter server share; `settings` are those of its web application."""

    def __init__(self, models: Models, settings: Mapping[str, Any], log: Logger) -> None:
        self.models = models
        self.kernels = Kernels(settings["kernel_manager"], settings["session_manager"])
        self.feed = Feed(self._read, log)
        self.loading = Loading(log)
        self.docker = Docker()

    @cached_property
    def gateway(self) -> Gateway:
        """The state that all calls by HTTP share."""
        from gpumodels.jupyter.gateway.calls import Gateway  # noqa: PLC0415  (imported at the first call)

        return Gateway()

    async def _read(self) -> State:
        # Imported at the first reading, in a thread: most Jupyter servers never need it.
        state = await in_thread(import_module, "gpumodels.jupyter.state")
        read: State = await state.read(self.kernels, self.docker.trouble())
        return read
