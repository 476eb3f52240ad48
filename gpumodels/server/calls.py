"""Calls on the author's model: read the inputs, run `predict`, send the answer.

These steps are the same for requests that come on the lane and by gRPC.
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
    """An error raised when the client of a call has left, so that the call needs no answer."""


class Call(abc.ABC):
    """A ModelInferRequest, the shared memory that it refers to, and the connection to its client."""

    def __init__(self, request: Any, memory: Memory) -> None:
        self.request = request
        self.memory = memory
        self.came = time.monotonic_ns()
        self._cancelled = False

    @abc.abstractmethod
    def gone(self) -> bool:
        """Return True if the client has left. Any thread may ask."""

    @abc.abstractmethod
    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        """Send one answer; `last` is False if more may follow.

        Raises ClientGone, and CallFailed if the answer cannot be sent.
        """

    @abc.abstractmethod
    def end(self) -> None:
        """Notify the client that the last answer was sent. Call this after answers with `last=False`.

        Raises ClientGone.
        """

    @abc.abstractmethod
    def failed(self, failure: CallFailed) -> None:
        """Send the error of the call to its client. Raises ClientGone."""

    @abc.abstractmethod
    def drop(self) -> None:
        """Disconnect the client, because not even the error can be sent."""

    def read_on(self) -> None:  # noqa: B027 (optional: only calls on the lane have a connection to read)
        """Read the connection of the call again. The lane's loop uses this when a call on another thread has ended."""

    def cancelled(self) -> bool:
        """Return True if the client has left. The first time, log that the call is cancelled."""
        if not self._cancelled and self.gone():
            self._cancelled = True
            log(f"call cancelled by the client after {(time.monotonic_ns() - self.came) / 1e9:.1f} s")
        return self._cancelled


class Model:
    """The author's loaded model. Several threads may run calls on it if the author's code allows that."""

    def __init__(self, name: str, predict: Predict, signature: Signature) -> None:
        self.name = name
        self.signature = signature
        self._predict = predict

    def run(self, call: Call, statistics: Statistics) -> None:
        """Run the call on this thread and count it. Skip it if its client has left. Raises nothing."""
        try:
            self._run(call, statistics)
        except ClientGone:
            call.cancelled()  # logs it
            statistics.failed(call.came, time.monotonic_ns())
        except Exception as error:  # noqa: BLE001 (such as MemoryError; the server must go on)
            log(f"a client was disconnected, because its error could not be sent: {summary(error)}")
            call.drop()
            statistics.failed(call.came, time.monotonic_ns())

    def _run(self, call: Call, statistics: Statistics) -> None:
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
        except BaseException as error:  # noqa: BLE001 (the client waits, so it gets every exception of the author)
            call.failed(error if isinstance(error, CallFailed) else _failure(error))
            statistics.failed(call.came, time.monotonic_ns())
        else:
            statistics.answered(call.came, began, read, ended, time.monotonic_ns())

    def _answer_each(self, call: Call, values: Any, sizes: dict[str, int]) -> None:
        try:
            for value in values:
                if call.cancelled():
                    raise ClientGone
                call.answer(to_tensors(value, self.signature.outputs, sizes), last=False)
        finally:
            values.close()


def log(line: str) -> None:
    """Write one line to the instance's log."""
    sys.stderr.write(f"gpumodels: {line}\n")
    sys.stderr.flush()


def summary(error: BaseException) -> str:
    """Return the last line of the error's traceback: its type and message."""
    return "".join(traceback.format_exception_only(error)).strip()


def _inputs(call: Call, signature: Signature, sizes: dict[str, int]) -> dict[str, Any]:
    try:
        return read_inputs(call.request, signature.inputs, call.memory, sizes)
    except (RequestError, RegionError, TensorError) as error:
        raise CallFailed(str(error), code="INVALID_ARGUMENT") from error


def _failure(error: BaseException) -> CallFailed:
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next  # frames of this module do not help the author
    return CallFailed(summary(error), "".join(traceback.format_exception(type(error), error, frames)))
