"""Calls by gRPC. For each call, one of gRPC's threads waits for the answers. Methods other than calls never wait."""

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
_TRACEBACK_LIMIT = 16 << 10  # bytes of a traceback; the end is kept, because it names the error
_UNREAD_ANSWERS = 64  # answers that may wait until the client reads them
_UNREAD_LIMIT = 10.0  # seconds for which a client with _UNREAD_ANSWERS unread answers may delay other calls
_LOOK_INTERVAL = 0.1  # seconds between two checks that this client is still connected

#: Triton's parameters of streams: "this response is the last of its request", and "send an empty last response".
_FINAL, _WANTS_FINAL = "triton_final_response", "triton_enable_empty_final_response"

_END = object()


class RpcCall(Call):
    """A call by gRPC. Its answers go into a queue, from which one of gRPC's threads sends them."""

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

    def drop(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Record that the client does not wait any more: it has all answers, or it has left. gRPC calls this."""
        self._left = True
        with contextlib.suppress(queue.Full):  # while the queue is full, its reader does not wait and sees the flag
            self._answers.put_nowait(_END)

    def answers(self) -> Iterator[tuple[Any, bool]]:
        """Yield each response with a flag, which is True if the response is known to be the last.

        Raises CallFailed if the call failed.
        """
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
    """Return the only response of a call. Abort the context if the call failed or was cancelled."""
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

    As in Triton, each response has a flag that is true if it is the last. If no response had a true flag, an empty last
    response follows, but only if the client asked for that.
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
