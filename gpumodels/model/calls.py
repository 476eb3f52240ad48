"""Calls in the background: futures, the threads that make the calls, and calls over iterables."""

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
    """The future of a call that was submitted.

    Unlike other futures it can be cancelled while it runs. That ends the call in the model server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ticket = Ticket()

    def cancel(self) -> bool:
        """Cancel the call, even if it has begun to run.

        Returns
        -------
        bool
            True if the call is cancelled. False if it was over already.

        """
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # wakes threads in `concurrent.futures.wait`
        self.ticket.end()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Return the result of the call, or raise its error.

        If you press the stop button while this waits, the call is cancelled.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait. The default waits until the call is over.

        Returns
        -------
        numpy.ndarray, str, bytes, JSON value, Result or list
            The result, as a call of the model returns it.

        Raises
        ------
        TimeoutError
            The call was not over after `timeout`. It runs on.
        concurrent.futures.CancelledError
            The call was cancelled.
        GpumodelsError
            The error of the call; see `Model.__call__`.

        """
        try:
            return super().result(timeout)
        except KeyboardInterrupt as error:
            self.cancel()
            raise error.with_traceback(None) from None
        except GpumodelsError as error:
            raise error.with_traceback(None) from None  # the frames of the other thread do not help the caller


async def awaited(future: CallFuture) -> Any:
    """Await the result of a call. Cancelling the waiting task cancels the call.

    While it waits, a timer wakes the event loop every 0.1 seconds, so that Jupyter's stop button works. The button
    sends a signal. The kernel's signal handler only adds a callback to the loop, and does not wake a loop that sleeps.
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
    """A pool of threads that make calls. A thread is started when all others are busy.

    They are daemon threads, unlike those of concurrent.futures. A kernel that exits still holds its leases, so it must
    not wait for calls.
    """

    def __init__(self) -> None:
        self._start_over()

    def submit(self, call: Callable[[Ticket], Any]) -> CallFuture:
        """Run `call` on a thread, and return its future. `cancel` of the future ends the `Ticket` that `call` gets."""
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
        """End each thread once the submitted calls are over."""
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
    except BaseException as error:  # noqa: BLE001 (`future.result` raises it)
        with suppress(InvalidStateError):  # cancelled meanwhile
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)


class Bar:
    """A progress bar for a notebook or terminal. It appears if `wanted` and if the work takes more than two seconds."""

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
    """Return True in a notebook and if standard error is a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") or sys.stderr.isatty()


def check_concurrency(concurrency: int, model: str) -> int:
    """Return `concurrency`. Raises InputError if it is not a whole number above 0."""
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InputError(f"{model}: concurrency must be a whole number above 0, not {concurrency!r}")
    return concurrency


def length(iterables: tuple[Any, ...]) -> int | None:
    """Return the number of calls that the iterables will make, or None if one of them has no length."""
    return min(map(len, iterables)) if all(hasattr(each, "__len__") for each in iterables) else None


def in_order(
    submit: Callable[..., CallFuture], iterables: tuple[Iterable[Any], ...], concurrency: int, bar: Bar
) -> Iterator[Any]:
    """Yield the results of `submit(*items)` in order, with `concurrency` calls in flight.

    Items are taken from the iterables on the calling thread, each just before its call begins. If the caller leaves
    the iterator early, the calls in flight are cancelled.
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
    """Yield the results as `in_order` does, for one iterable or async iterable, while the event loop runs."""
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
