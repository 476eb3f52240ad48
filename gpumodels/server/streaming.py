"""ModelStreamInfer: the calls of one stream, one after another; what one does wrong ends that one, not the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from gpumodels.protocol import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc


def answers(infer: Callable[[Any, Any], Any], requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
    """Answer each request by `infer`, which is given a context whose `abort` ends the call and not the stream."""
    within = _WithinStream(context)
    for request in requests:
        try:
            response = infer(request, within)
            messages.set_parameters(response, triton_final_response=True)
            yield messages.ModelStreamInferResponse(infer_response=response)
        except _CallEnded as ended:
            failed = messages.ModelInferResponse(model_name=request.model_name, id=request.id)
            yield messages.ModelStreamInferResponse(error_message=str(ended), infer_response=failed)


class _CallEnded(Exception):
    """One call of a stream was aborted."""


class _WithinStream:
    """A stream's context as one call of it sees it."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._callback: Callable[[], None] = lambda: None
        self._active = context.add_callback(self._end)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """In place of the one of the call before: a stream may live for as long as its client."""
        self._callback = callback
        return self._active and self._context.is_active()

    def _end(self) -> None:
        self._callback()

    def is_active(self) -> bool:
        return self._context.is_active()

    def set_trailing_metadata(self, metadata: Any) -> None:
        """There is none between two answers."""

    def abort(self, _code: grpc.StatusCode, details: str) -> NoReturn:
        raise _CallEnded(details)
