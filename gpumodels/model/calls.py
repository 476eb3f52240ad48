"""Calls that run while the caller does something else: futures, the threads behind them, and calls over iterables."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from gpumodels.client import Ticket
from gpumodels.errors import GpumodelsError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_THREADS = 32
_TICK = 0.1  # seconds
_LONG = 2.0  # seconds; shorter work shows no bar and does not pay for importing it


class CallFuture(Future[Any]):
    """A call that was submitted. Unlike other futures it can be cancelled while it runs, which ends the call in the
    model server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ticket = Ticket()

    def cancel(self) -> bool:
        """End the call, whether it runs or waits to. Return False if it is over.

        Returns
        -------
        bool
            True if the call is cancelled now.

        """
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # wakes threads in `concurrent.futures.wait`
        self.ticket.end()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Return the result of the call, or raise its error. The stop button, pressed meanwhile, ends the call.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait. The default waits until the call is over.

        """
        try:
            return super().result(timeout)
        except KeyboardInterrupt as error:
            self.cancel()
            raise error.with_traceback(None) from None
        except GpumodelsError as error:
            raise error.with_traceback(None) from None  # frames of the other thread say nothing here


async def awaited(future: CallFuture) -> Any:
    """Await the result of a call. Cancelling the waiting task ends the call.

    The loop ticks meanwhile. In a kernel, the stop button's signal handler only tells the loop to cancel the cell. A
    loop that waits for nothing but files would notice that when one of them becomes readable.
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

    They are daemons, unlike those of concurrent.futures: a kernel that ends must not wait for a call while it holds the
    lease.
    """

    def __init__(self) -> None:
        self._start_over()

    def submit(self, call: Callable[[Ticket], Any]) -> CallFuture:
        """Make a call on one of the threads. It receives the ticket of the future."""
        if self._pid != os.getpid():  # a fork has the parent's queue, but none of its threads
            self._start_over()
        future = CallFuture()
        self._waiting.put((future, call))
        if not self._idle.acquire(blocking=False) and len(self._threads) < _MOST_THREADS:
            thread = threading.Thread(target=self._work, name="gpumodels call", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self) -> None:
        """End the threads when the submitted calls are over."""
        for _ in self._threads:
            self._waiting.put(None)
        self._threads.clear()

    def _start_over(self) -> None:
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
    except BaseException as error:  # noqa: BLE001 (the reader of the result gets it)
        with suppress(InvalidStateError):  # cancelled meanwhile
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)


class Bar:
    """A progress bar for work that turns out to be long. It appears after two seconds, in a notebook or a terminal."""

    def __init__(self, title: str, total: int | None, *, wanted: bool) -> None:
        self._title = title
        self._total = total
        self._wanted = wanted and _is_watched()
        self._began = time.monotonic()
        self._count = 0
        self._bar: Any = None

    def advance(self) -> None:
        """Count one more result."""
        self._count += 1
        if self._bar is not None:
            self._bar.update()
        elif self._wanted and time.monotonic() - self._began > _LONG:
            from tqdm.auto import tqdm  # noqa: PLC0415 (imported for long work only)

            self._bar = tqdm(desc=self._title, total=self._total, initial=self._count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _is_watched() -> bool:
    """Return True if somebody can see a progress bar."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") or sys.stderr.isatty()


def check_concurrency(concurrency: int, model: str) -> int:
    """Return the number of concurrent calls. Raises InputError if it is not one."""
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InputError(f"{model}: concurrency must be a whole number above 0, not {concurrency!r}")
    return concurrency


def length(iterables: tuple[Any, ...]) -> int | None:
    """Return how many calls there will be, or None if that is not known."""
    return min(map(len, iterables)) if all(hasattr(each, "__len__") for each in iterables) else None


def in_order(
    submit: Callable[..., CallFuture], iterables: tuple[Iterable[Any], ...], concurrency: int, bar: Bar
) -> Iterator[Any]:
    """Yield the results of `submit(*items)` in order, with `concurrency` calls in flight.

    Items are taken on the calling thread when a call can begin with them. Leaving early cancels the calls in flight.
    """
    running: deque[CallFuture] = deque()
    try:
        with bar:
            for items in zip(*iterables, strict=False):
                running.append(submit(*items))
                if len(running) == concurrency:
                    yield running[0].result()
                    running.popleft()
                    bar.advance()
            while running:
                yield running[0].result()
                running.popleft()
                bar.advance()
    finally:
        for future in running:
            future.cancel()


async def in_order_async(
    submit: Callable[[Any], CallFuture], items: Iterable[Any] | AsyncIterable[Any], concurrency: int, bar: Bar
) -> AsyncIterator[Any]:
    """Do the same over one iterable of either kind, while the event loop goes on."""
    running: deque[CallFuture] = deque()
    try:
        with bar:
            async for item in _either(items):
                running.append(submit(item))
                if len(running) == concurrency:
                    yield await awaited(running[0])
                    running.popleft()
                    bar.advance()
            while running:
                yield await awaited(running[0])
                running.popleft()
                bar.advance()
    finally:
        for future in running:
            future.cancel()


async def _either(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
