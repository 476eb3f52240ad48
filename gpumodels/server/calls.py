"""Calls wait in one queue for the model's thread, which runs them one at a time.

That thread is the main thread, the one that ran `load`: what frameworks keep per thread (torch's grad mode, CUDA's
current device) stays as the author set it there, and an author may handle signals. gRPC's threads
only wait, so that live, ready, metadata and cancel are answered while `predict` is busy.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

Predict = Callable[..., Any]


class CallFailed(Exception):
    """What the author's code did wrong, told to the client with the traceback of that code, where it has one."""

    def __init__(self, message: str, remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_traceback = remote_traceback


class Call:
    """One call: its inputs, how to turn the value into a reply, and in the end that reply or what went wrong.

    `discard` undoes what `reply` made, for a reply that nobody waits for.
    """

    def __init__(self, inputs: dict[str, Any], reply: Callable[[Any], Any], discard: Callable[[], None]) -> None:
        self._inputs = inputs
        self._reply = reply
        self._discard = discard
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.cancelled = False
        self.outcome: Any = None

    def run(self, predict: Predict) -> None:
        """Run it on the calling thread, unless nobody waits any more."""
        if self.cancelled:
            return
        try:
            value = predict(**self._inputs)
            outcome = None if self.cancelled else self._reply(value)
        except BaseException as error:  # noqa: BLE001 (whatever the author raises goes to the caller, who waits)
            outcome = error if isinstance(error, CallFailed) else _failure(error)
        with self._lock:
            self.outcome = outcome
            self._over.set()
            if self.cancelled:
                self._discard()

    def wait(self) -> None:
        """Until it has run or was cancelled."""
        self._over.wait()

    def end(self) -> None:
        """The client has its reply or does not wait any more; in the latter case note the cancel, once."""
        with self._lock:
            if self._over.is_set():
                return
            self.cancelled = True
            self._over.set()
        log(f"call cancelled by the client after {time.monotonic() - self._began:.1f} s")


class CallQueue:
    """The calls that wait for the model's thread."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()

    def put(self, call: Call) -> None:
        """Add a call; it runs after those before it."""
        self._calls.put(call)

    def run_forever(self, predict: Predict) -> NoReturn:
        """Run the calls that come, on the calling thread."""
        while True:
            _Current.call = self._calls.get()
            _Current.call.run(predict)
            _Current.call = None  # so that inputs of gigabytes do not live until the next call


class _Current:
    call: Call | None = None


def current_call_is_cancelled() -> bool:
    """See `gpumodels.server.cancelled`."""
    call = _Current.call
    return call is not None and call.cancelled


def log(line: str) -> None:
    """One line to the instance's log."""
    sys.stderr.write(f"gpumodels: {line}\n")
    sys.stderr.flush()


def summary(error: BaseException) -> str:
    """The error in one line, as a traceback ends."""
    return "".join(traceback.format_exception_only(error)).strip()


def _failure(error: BaseException) -> CallFailed:
    frames: TracebackType | None = error.__traceback__
    if frames is not None and frames.tb_next is not None:
        frames = frames.tb_next  # ours, which says nothing to the author
    return CallFailed(summary(error), "".join(traceback.format_exception(type(error), error, frames)))
