"""Calls that came by gRPC: its threads wait while the model's thread answers; live, ready and metadata never wait."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.protocol import files, messages
from gpumodels.server.calls import Call, ClientGone, log
from gpumodels.server.replies import respond
from gpumodels.server.results import CallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.protocol import Tensor
    from gpumodels.server.lane import CallQueue
    from gpumodels.server.requests import Memory

_MESSAGE_LIMIT = 1 << 10  # characters of an error in a header
_TRACEBACK_LIMIT = 16 << 10  # bytes; the end is what tells
_AHEAD = 64  # answers that a client may be behind
_PATIENCE = 10.0  # seconds for which a client that is so far behind may hold up other calls
_LOOK = 0.1  # seconds between two looks at whether such a client has left

#: Triton's parameters of streams: this response is the last of its request; the request wants an empty last one.
_FINAL, _WANTS_FINAL = "triton_final_response", "triton_enable_empty_final_response"

_END = object()


class RpcCall(Call):
    """One request, answered through a queue that a thread of gRPC's reads."""

    def __init__(self, request: Any, memory: Memory) -> None:
        super().__init__(request, memory)
        self._answers: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._left = False

    def gone(self) -> bool:
        return self._left

    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        self._put((respond(self.request, tensors, self.memory), last))
        if last:
            self.end()

    def end(self) -> None:
        self._put(_END)

    def failed(self, failure: CallFailed) -> None:
        self._put(failure)

    def leave(self) -> None:
        """The client has its answers or waits no more."""
        self._left = True
        with contextlib.suppress(queue.Full):  # whoever reads from a full queue sees the flag
            self._answers.put_nowait(_END)

    def answers(self) -> Iterator[tuple[Any, bool]]:
        """The responses as they come, and whether each is known to be the last; raises CallFailed."""
        while (answer := self._answers.get()) is not _END and not self._left:
            if isinstance(answer, CallFailed):
                raise answer
            yield answer

    def _put(self, answer: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self._left:
            try:
                self._answers.put(answer, timeout=_LOOK)
            except queue.Full:
                if time.monotonic() > deadline:
                    log(f"answers that were not read for {_PATIENCE:.0f} s were given up")
                    raise ClientGone from None
            else:
                return
        raise ClientGone


def single(call: RpcCall, calls: CallQueue, context: grpc.ServicerContext) -> Any:
    """The one response of a call; aborts the context where it failed or was cancelled."""
    response = None
    if context.add_callback(call.leave):
        calls.put(call)
        try:
            response, _ = next(call.answers(), (None, True))
        except CallFailed as failure:
            _abort(context, failure, with_traceback=files.TRACEBACK in call.request.parameters)
    if response is None:
        context.abort(grpc.StatusCode.CANCELLED, "cancelled by the client")
    return response


def several(call: RpcCall, calls: CallQueue) -> Iterator[Any]:
    """The ModelStreamInferResponses of one call of a stream; what it does wrong ends it, and not the stream.

    As Triton does: what is known to be the last says so, and a client that asked for it gets an empty last one.
    """
    empty = messages.ModelInferResponse(model_name=call.request.model_name, id=call.request.id)
    calls.put(call)
    last = False
    try:
        for response, last in call.answers():
            messages.set_parameters(response, **{_FINAL: last})
            yield messages.ModelStreamInferResponse(infer_response=response)
    except CallFailed as failure:
        yield messages.ModelStreamInferResponse(error_message=str(failure)[:_MESSAGE_LIMIT], infer_response=empty)
        return
    if not last and messages.parameters(call.request).get(_WANTS_FINAL) is True:
        messages.set_parameters(empty, **{_FINAL: True})
        yield messages.ModelStreamInferResponse(infer_response=empty)


def _abort(context: grpc.ServicerContext, failure: CallFailed, *, with_traceback: bool) -> None:
    if with_traceback and failure.remote_traceback:
        trace = failure.remote_traceback.encode(errors="replace")[-_TRACEBACK_LIMIT:]
        context.set_trailing_metadata(((files.TRACEBACK_KEY, trace),))
    context.abort(grpc.StatusCode[failure.code], str(failure)[:_MESSAGE_LIMIT])
