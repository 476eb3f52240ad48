"""Calls by gRPC: one of its threads waits for the answers of each. Live, ready and metadata never wait."""

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
    from gpumodels.server.requests import Memory
    from gpumodels.server.scheduler import Scheduler

_MESSAGE_LIMIT = 1 << 10  # characters of an error in a header
_TRACEBACK_LIMIT = 16 << 10  # bytes, of the traceback's end, where the error is
_UNREAD_ANSWERS = 64  # answers that a client may be behind
_UNREAD_LIMIT = 10.0  # seconds for which a client that is so far behind may hold up other calls
_LOOK_INTERVAL = 0.1  # seconds between two looks at whether that client has left

#: Triton's parameters of streams: the response is its request's last; the request asks for an empty last response.
_FINAL, _WANTS_FINAL = "triton_final_response", "triton_enable_empty_final_response"

_END = object()


class RpcCall(Call):
    """A call that came by gRPC, answered through a queue that one of gRPC's threads reads."""

    def __init__(self, request: Any, memory: Memory) -> None:
        super().__init__(request, memory)
        self._answers: queue.Queue[Any] = queue.Queue(_UNREAD_ANSWERS)
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
        """Note that the client has its answers or waits no more."""
        self._left = True
        with contextlib.suppress(queue.Full):  # the reader of a full queue sees the flag
            self._answers.put_nowait(_END)

    def answers(self) -> Iterator[tuple[Any, bool]]:
        """Yield each response, and True with it if it is known to be the last; raises CallFailed."""
        while (answer := self._answers.get()) is not _END and not self._left:
            if isinstance(answer, CallFailed):
                raise answer
            yield answer

    def _put(self, answer: Any) -> None:
        deadline = time.monotonic() + _UNREAD_LIMIT
        while not self._left:
            try:
                self._answers.put(answer, timeout=_LOOK_INTERVAL)
            except queue.Full:
                if time.monotonic() > deadline:
                    log(f"answers that were not read for {_UNREAD_LIMIT:.0f} s were given up")
                    raise ClientGone from None
            else:
                return
        raise ClientGone


def single(call: RpcCall, scheduler: Scheduler, context: grpc.ServicerContext) -> Any:
    """Return the one response of a call; abort the context if it failed or was cancelled."""
    response = None
    if context.add_callback(call.leave):
        scheduler.queue.put(call)
        try:
            response, _ = next(call.answers(), (None, True))
        except CallFailed as failure:
            _abort(context, failure, with_traceback=files.TRACEBACK in call.request.parameters)
    if response is None:
        context.abort(grpc.StatusCode.CANCELLED, "cancelled by the client")
    return response


def several(call: RpcCall, scheduler: Scheduler) -> Iterator[Any]:
    """Yield the ModelStreamInferResponses of one call of a stream. A failure ends the call, but not the stream.

    The end is marked as Triton marks it: a response that is known to be the last says so, and a client that asked for
    one gets an empty last response.
    """
    empty = messages.ModelInferResponse(model_name=call.request.model_name, id=call.request.id)
    scheduler.queue.put(call)
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
