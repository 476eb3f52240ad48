"""The protocol's methods over one model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.protocol import files, messages
from gpumodels.protocol.metadata import write_signature
from gpumodels.protocol.tensors import TensorError
from gpumodels.server import streaming
from gpumodels.server.calls import Call, CallFailed, CallQueue
from gpumodels.server.config import PLATFORM, write_config
from gpumodels.server.memory import RegionError, SharedMemory
from gpumodels.server.replies import Reply, ReplyTooLarge
from gpumodels.server.requests import RequestError, read_inputs
from gpumodels.server.results import to_tensors
from gpumodels.server.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.signature import Signature

_VERSION = "1"  # the protocol numbers versions of a model; there is one
_EXTENSIONS = ("model_configuration", "model_repository", "statistics", "system_shared_memory")
_MESSAGE_LIMIT = 1 << 10  # characters of an error in a header
_TRACEBACK_LIMIT = 16 << 10  # bytes; the end is what tells


class Servicer:
    """Answers from the start (live); `signature` is set when the model is loaded, and from then on it is ready."""

    def __init__(self, name: str, memory: SharedMemory, calls: CallQueue) -> None:
        self.name = name
        self.signature: Signature | None = None
        self.statistics = Statistics()
        self._memory = memory
        self._calls = calls

    def ServerLive(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 (the protocol's names)
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self.signature is not None)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self.signature is not None)

    def ServerMetadata(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        from gpumodels import __version__  # noqa: PLC0415 (looked up when it is asked for)

        return messages.ServerMetadataResponse(
            name="gpumodels", version=__version__, extensions=[*_EXTENSIONS, files.RESULTS]
        )

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        response = messages.ModelMetadataResponse(name=self.name, versions=[_VERSION], platform=PLATFORM)
        write_signature(response, self._ready_signature(context))
        return response

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name, request.version, context)
        response = messages.ModelConfigResponse()
        write_config(response.config, self.name, self._ready_signature(context))
        return response

    def ModelStatistics(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.name or self.name, request.version, context)  # without a name: of every model
        response = messages.ModelStatisticsResponse()
        self.statistics.write(response.model_stats.add(name=self.name, version=_VERSION))
        return response

    def RepositoryIndex(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = messages.RepositoryIndexResponse()
        if self.signature is not None:
            response.models.add(name=self.name, version=_VERSION, state="READY")
        elif not request.ready:
            response.models.add(name=self.name, version=_VERSION, state="LOADING")
        return response

    def ModelStreamInfer(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        return streaming.answers(self.ModelInfer, requests, context)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._check_named(request.model_name, request.model_version, context)
        signature = self._ready_signature(context)
        self._memory.discard_unclaimed()
        sizes: dict[str, int] = {}
        with _bad_requests(context):
            inputs = read_inputs(request, signature.inputs, self._memory, sizes)
        reply = Reply(request, self._memory)
        call = Call(inputs, lambda value: reply.write(to_tensors(value, signature.outputs, sizes)), reply.discard)
        del inputs
        if context.add_callback(call.end):
            self._calls.put(call)
            call.wait()
        if not context.is_active():
            reply.discard()
            context.abort(grpc.StatusCode.CANCELLED, "cancelled by the client")
        if isinstance(call.outcome, CallFailed):
            _abort(context, call.outcome, with_traceback=files.TRACEBACK in request.parameters)
        call.outcome.model_version = _VERSION
        return call.outcome

    def SystemSharedMemoryStatus(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        response = messages.SystemSharedMemoryStatusResponse()
        for name, region in self._memory.status(request.name).items():
            status = response.regions[name]
            status.name, status.key = name, region.key
            status.offset, status.byte_size = region.offset, region.byte_size
        return response

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        with _bad_requests(context):
            self._memory.register(request.name, request.key, request.offset, request.byte_size)
        return messages.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        self._memory.unregister(request.name)
        return messages.SystemSharedMemoryUnregisterResponse()

    def _check_named(self, name: str, version: str, context: grpc.ServicerContext) -> None:
        if name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"this server serves {self.name!r}, not {name!r}")
        if version not in {"", _VERSION}:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{name} has no version {version!r}, only {_VERSION}")

    def _ready_signature(self, context: grpc.ServicerContext) -> Signature:
        if self.signature is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{self.name} is not loaded yet")
        return self.signature


@contextlib.contextmanager
def _bad_requests(context: grpc.ServicerContext) -> Any:
    try:
        yield
    except (RequestError, RegionError, TensorError) as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:_MESSAGE_LIMIT])


def _abort(context: grpc.ServicerContext, failure: CallFailed, *, with_traceback: bool) -> None:
    if isinstance(failure, ReplyTooLarge):
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(failure))
    if with_traceback:
        trace = failure.remote_traceback.encode(errors="replace")[-_TRACEBACK_LIMIT:]
        context.set_trailing_metadata(((files.TRACEBACK_KEY, trace),))
    context.abort(grpc.StatusCode.INTERNAL, str(failure)[:_MESSAGE_LIMIT])
