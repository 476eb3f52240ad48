"""One call at a time on the model's thread, whichever way it came.

That thread is the main thread, the one that ran `load`: what frameworks keep per thread (torch's grad mode, CUDA's
current device) stays as the author set it there, and an author may handle signals.
"""

from __future__ import annotations

import abc
import inspect
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpumodels.protocol import RegionError, TensorError
from gpumodels.server.requests import Memory, RequestError, read_inputs
from gpumodels.server.results import CallFailed, to_tensors

if TYPE_CHECKING:
    from types import TracebackType

    from gpumodels.protocol import Tensor
    from gpumodels.server.statistics import Statistics
    from gpumodels.signature import Signature

Predict = Callable[..., Any]


class ClientGone(Exception):
    """Nobody waits for the call any more."""


class Call(abc.ABC):
    """A ModelInferRequest, the memory that it speaks of, and the way back to its client."""

    def __init__(self, request: Any, memory: Memory) -> None:
        self.request = request
        self.memory = memory
        self.came = time.monotonic_ns()
        self._cancelled = False

    @abc.abstractmethod
    def gone(self) -> bool:
        """Whether the client has left; asked from any thread."""

    @abc.abstractmethod
    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        """Send one answer; raises ClientGone, and CallFailed where it cannot be sent."""

    @abc.abstractmethod
    def end(self) -> None:
        """No more answers come, after those that were not the last; raises ClientGone."""

    @abc.abstractmethod
    def failed(self, failure: CallFailed) -> None:
        """Send what went wrong; raises ClientGone."""

    def cancelled(self) -> bool:
        """Whether the client has left; the first time it is noticed the log says so."""
        if not self._cancelled and self.gone():
            self._cancelled = True
            log(f"call cancelled by the client after {(time.monotonic_ns() - self.came) / 1e9:.1f} s")
        return self._cancelled


class Model:
    """The author's loaded model, as calls see it."""

    def __init__(self, name: str, predict: Predict, signature: Signature, statistics: Statistics) -> None:
        self.name = name
        self.signature = signature
        self._predict = predict
        self.statistics = statistics
        #: When the last call ended, in time.monotonic() seconds.
        self.last_called = time.monotonic()

    def run(self, call: Call) -> None:
        """Run the call on this thread, unless nobody waits for it; nothing it does wrong is raised."""
        _Current.call = call  # looked at by `gpumodels.server.cancelled`
        try:
            self._run(call)
        except ClientGone:
            call.cancelled()
            self.statistics.failed(call.came, time.monotonic_ns())
        finally:
            self.last_called = time.monotonic()
            _Current.call = None  # so that inputs of gigabytes do not live until the next call

    def _run(self, call: Call) -> None:
        if call.cancelled():
            raise ClientGone
        began = time.monotonic_ns()
        try:
            sizes: dict[str, int] = {}
            inputs = _inputs(call, self.signature, sizes)
            read = time.monotonic_ns()
            value = self._predict(**inputs)
            del inputs
            if self.signature.stream and inspect.isgenerator(value):
                self._answer_each(call, value, sizes)
                ended = time.monotonic_ns()
                call.end()
            else:
                ended = time.monotonic_ns()
                call.answer(to_tensors(value, self.signature.outputs, sizes), last=True)
        except ClientGone:
            raise
        except BaseException as error:  # noqa: BLE001 (whatever the author raises goes to the caller, who waits)
            self.statistics.failed(call.came, time.monotonic_ns())
            call.failed(error if isinstance(error, CallFailed) else _failure(error))
        else:
            self.statistics.answered(call.came, began, read, ended, time.monotonic_ns())

    def _answer_each(self, call: Call, values: Any, sizes: dict[str, int]) -> None:
        try:
            for value in values:
                if call.cancelled():
                    raise ClientGone
                call.answer(to_tensors(value, self.signature.outputs, sizes), last=False)
        finally:
            values.close()


class _Current:
    call: Call | None = None


def current_call_is_cancelled() -> bool:
    """See `gpumodels.server.cancelled`."""
    call = _Current.call
    return call is not None and call.cancelled()


def is_running() -> bool:
    """Whether a call is being run; asked from any thread."""
    return _Current.call is not None


def log(line: str) -> None:
    """One line to the instance's log."""
    sys.stderr.write(f"gpumodels: {line}\n")
    sys.stderr.flush()


def summary(error: BaseException) -> str:
    """The error in one line, as a traceback ends."""
    return "".join(traceback.format_exception_only(error)).strip()


def _inputs(call: Call, signature: Signature, sizes: dict[str, int]) -> dict[str, Any]:
    try:
        return read_inputs(call.request, signature.inputs, call.memory, sizes)
    except (RequestError, RegionError, TensorError) as error:
        raise CallFailed(str(error), code="INVALID_ARGUMENT") from error


def _failure(error: BaseException) -> CallFailed:
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next  # ours say nothing to the author
    return CallFailed(summary(error), "".join(traceback.format_exception(type(error), error, frames)))
