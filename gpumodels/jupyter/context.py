"""`ServerContext`: what the routes of one Jupyter server share."""

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
    """What the routes need of the manager."""

    def running(self) -> Sequence[InstanceRecord]:
        """List this user's instances, whichever notebook or process asked for them."""

    def stop_instance(self, instance_id: str, /, by: str) -> None:
        """End one; raises KeyError where none has that id."""

    def sleep_instance(self, instance_id: str, /) -> None:
        """Put one to sleep; raises KeyError where none has that id."""


class ServerContext:
    """What the routes of one Jupyter server share; `settings` are those of its web application."""

    def __init__(self, models: Models, settings: Mapping[str, Any], log: Logger) -> None:
        self.models = models
        self.kernels = Kernels(settings["kernel_manager"], settings["session_manager"])
        self.feed = Feed(self._read, log)
        self.loading = Loading(log)
        self.docker = Docker()

    @cached_property
    def gateway(self) -> Gateway:
        """What calls by HTTP share."""
        from gpumodels.jupyter.gateway.calls import Gateway  # noqa: PLC0415  only when one comes

        return Gateway()

    async def _read(self) -> State:
        state = await in_thread(import_module, "gpumodels.jupyter.state")  # a server that nobody asks needs none of it
        read: State = await state.read(self.kernels, self.docker.trouble())
        return read
