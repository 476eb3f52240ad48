"""Calls that run while the caller does something else: threads that make them, and the futures that stand for them."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket
from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_THREADS = 32
_TICK = 0.1  # seconds


class CallFuture(Future[Any]):
    """A call that was submitted. Unlike others it can be cancelled while it runs, which ends it in the model server."""

    def __init__(self) -> None:
        super().__init__()
        self.ticket = Ticket()

    def cancel(self) -> bool:
        """End the call, whether it runs or waits to; False where it is over."""
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # tells those who wait in `concurrent.futures.wait`
        self.ticket.end()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """What the call returned, or what it raised; the stop button, pressed while this waits, ends the call."""
        try:
            return super().result(timeout)
        except KeyboardInterrupt as error:
            self.cancel()
            raise error.with_traceback(None) from None
        except GpumodelsError as error:
            raise error.with_traceback(None) from None  # the way through the other thread says nothing here


async def awaited(future: CallFuture) -> Any:
    """The result of a call, for an event loop; cancelling the task that waits ends the call.

    The loop ticks meanwhile. In a kernel the stop button's signal handler only tells the loop to cancel the cell, which
    a loop that waits for nothing but files would hear when one of them has something to say.
    """
    loop = asyncio.get_running_loop()
    waiting = asyncio.wrap_future(future)

    def tick() -> None:
        if not waiting.done():
            loop.call_later(_TICK, tick)

    tick()
    try:
        return await waiting
    except GpumodelsError as error:
        raise error.with_traceback(None) from None


class Callers:
    """Threads that make calls, started as they are needed.

    Daemons, which concurrent.futures' own are not: a kernel that ends must not wait for a call, it holds the lease.
    """

    def __init__(self) -> None:
        self._begin()

    def submit(self, call: Callable[[Ticket], Any]) -> CallFuture:
        """Make the call on one of the threads, which gives it the future's ticket."""
        if self._pid != os.getpid():  # a fork has the parent's queue, but none of its threads
            self._begin()
        future = CallFuture()
        self._waiting.put((future, call))
        if not self._idle.acquire(blocking=False) and len(self._threads) < _MOST_THREADS:
            thread = threading.Thread(target=self._work, name="gpumodels call", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """End the threads when the calls that were submitted are over."""
        for _ in self._threads:
            self._waiting.put(None)
        self._threads.clear()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._waiting: queue.SimpleQueue[tuple[CallFuture, Callable[[Ticket], Any]] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def _work(self) -> None:
        while (submitted := self._waiting.get()) is not None:
            _run(*submitted)
            del submitted  # inputs and result must not live until the next call
            self._idle.release()


def _run(future: CallFuture, call: Callable[[Ticket], Any]) -> None:
    try:
        result = call(future.ticket)
    except CancelledError:
        future.cancel()
    except BaseException as error:  # noqa: BLE001 (whoever asks for the result gets it)
        with suppress(InvalidStateError):  # cancelled meanwhile
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)
