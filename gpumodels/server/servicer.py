"""The protocol's methods over one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.protocol import RegionError, messages
from gpumodels.server.calls import is_running
from gpumodels.server.config import metadata, write_config
from gpumodels.server.replies import MODEL_VERSION
from gpumodels.server.rpc import RpcCall, several, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpumodels.server.calls import Model
    from gpumodels.server.lane import CallQueue
    from gpumodels.server.memory import SharedMemory

_EXTENSIONS = ("model_configuration", "model_repository", "statistics", "system_shared_memory")


class Servicer:
    """Answers from the start (live); `model` is set when it is loaded, and from then on it is ready."""

    def __init__(self, name: str, memory: SharedMemory, calls: CallQueue, waiting: Callable[[], int]) -> None:
        """`waiting` tells how many calls have come and not begun, whichever way they came."""
        self.name = name
        self.model: Model | None = None
        self._memory = memory
        self._calls = calls
        self._waiting = waiting

    def ServerLive(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 (the protocol's names)
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self.model is not None)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self.model is not None)

    def ServerMetadata(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        from gpumodels import __version__  # noqa: PLC0415 (looked up when it is asked for)

        return messages.ServerMetadataResponse(name="gpumodels", version=__version__, extensions=_EXTENSIONS)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        return metadata(self._loaded(context))

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        response = messages.ModelConfigResponse()
        write_config(response.config, self.name, self._loaded(context).signature)
        return response

    def ModelStatistics(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name or self.name, request.version, context)  # without a name: of every model
        response = messages.ModelStatisticsResponse()
        statistics = self._loaded(context).statistics
        told = response.model_stats.add(name=self.name, version=MODEL_VERSION)
        statistics.write(told)
        statistics.write_activity(told.activity)
        told.activity.running = int(is_running())
        told.activity.waiting = self._waiting()
        return response

    def RepositoryIndex(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = messages.RepositoryIndexResponse()
        if self.model is not None:
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
            if problem or self.model is None:
                yield messages.ModelStreamInferResponse(error_message=problem or self._not_loaded())
                continue
            running[:] = [RpcCall(request, self._memory)]
            if not context.is_active():
                return
            yield from several(running[0], self._calls)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.model_name, request.model_version, context)
        if self._loaded(context).signature.stream:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self.name} gives several answers: call ModelStreamInfer")
        return single(RpcCall(request, self._memory), self._calls, context)

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

    def _loaded(self, context: grpc.ServicerContext) -> Model:
        if self.model is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, self._not_loaded())
        return self.model

    def _not_loaded(self) -> str:
        return f"{self.name} is not loaded yet"
