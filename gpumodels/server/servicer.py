"""The methods of the Open Inference Protocol for one model. gRPC calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.protocol import RegionError, messages
from gpumodels.server.config import metadata, write_config
from gpumodels.server.replies import MODEL_VERSION
from gpumodels.server.rpc import RpcCall, several, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpumodels.server.memory import SharedMemory
    from gpumodels.server.scheduler import Scheduler

_EXTENSIONS = ("model_configuration", "model_repository", "statistics", "system_shared_memory")


class Servicer:
    """The gRPC methods of one model. They answer also before it is loaded; `scheduler` is set once it is ready."""

    def __init__(self, name: str, memory: SharedMemory, unread: Callable[[], int]) -> None:
        """Make a servicer. `unread` is a function that returns the number of unread requests on the lane."""
        self.name = name
        self.scheduler: Scheduler | None = None
        self._memory = memory
        self._unread = unread

    def ServerLive(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 (the protocol's names)
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self.scheduler is not None)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self.scheduler is not None)

    def ServerMetadata(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        from gpumodels import __version__  # noqa: PLC0415 (an import that only this method needs)

        return messages.ServerMetadataResponse(name="gpumodels", version=__version__, extensions=_EXTENSIONS)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        return metadata(self._loaded(context).model)

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        response = messages.ModelConfigResponse()
        write_config(response.config, self.name, self._loaded(context).model.signature)
        return response

    def ModelStatistics(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name or self.name, request.version, context)  # without a name: of all models
        scheduler = self._loaded(context)
        response = messages.ModelStatisticsResponse()
        model = response.model_stats.add(name=self.name, version=MODEL_VERSION)
        scheduler.statistics.write(model)
        scheduler.statistics.write_activity(model.activity)
        model.activity.running = scheduler.running
        model.activity.waiting = scheduler.waiting + self._unread()
        return response

    def RepositoryIndex(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = messages.RepositoryIndexResponse()
        if self.scheduler is not None:
            response.models.add(name=self.name, version=MODEL_VERSION, state="READY")
        elif not request.ready:
            response.models.add(name=self.name, version=MODEL_VERSION, state="LOADING")
        return response

    def ModelStreamInfer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        running: list[RpcCall] = []

        def leave() -> None:
            for call in running:
                call.leave()

        context.add_callback(leave)
        for request in requests:
            problem = self._misnamed(request.model_name, request.model_version)
            scheduler = self.scheduler
            if problem or scheduler is None:
                yield messages.ModelStreamInferResponse(error_message=problem or self._not_loaded())
                continue
            running[:] = [RpcCall(request, self._memory)]
            if not context.is_active():
                return
            yield from several(running[0], scheduler)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.model_name, request.model_version, context)
        scheduler = self._loaded(context)
        if scheduler.model.signature.stream:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.name} gives several answers: call ModelStreamInfer")
        return single(RpcCall(request, self._memory), scheduler, context)

    def SystemSharedMemoryStatus(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = messages.SystemSharedMemoryStatusResponse()
        for name, region in self._memory.status(request.name).items():
            status = response.regions[name]
            status.name, status.key = name, region.key
            status.offset, status.byte_size = region.offset, region.byte_size
        return response

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        try:
            self._memory.register(request.name, request.key, request.offset, request.byte_size)
        except RegionError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return messages.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._memory.unregister(request.name)
        return messages.SystemSharedMemoryUnregisterResponse()

    def _check_named(self, name: str, version: str, context: grpc.ServicerContext) -> None:
        if problem := self._misnamed(name, version):
            context.abort(grpc.StatusCode.NOT_FOUND, problem)

    def _misnamed(self, name: str, version: str) -> str:
        if name != self.name:
            return f"this server serves {self.name!r}, not {name!r}"
        return "" if version in {"", MODEL_VERSION} else f"{name} has no version {version!r}, only {MODEL_VERSION}"

    def _loaded(self, context: grpc.ServicerContext) -> Scheduler:
        if self.scheduler is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, self._not_loaded())
        return self.scheduler

    def _not_loaded(self) -> str:
        return f"{self.name} is not loaded yet"
