"""Many calls over an iterable: a few at once, results in order, nothing taken ahead of need."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gpumodels.errors import InputError
from gpumodels.model.futures import awaited

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.model.futures import CallFuture
    from gpumodels.model.progress import Bar


def checked(concurrency: int, model: str) -> int:
    """The number of calls at once; raises InputError where it is none."""
    if not isinstance(concurrency, int) or isinstance(concurrency, bool) or concurrency < 1:
        raise InputError(f"{model}: concurrency must be a whole number above 0, not {concurrency!r}")
    return concurrency


def length(iterables: tuple[Any, ...]) -> int | None:
    """How many calls there will be, where that can be told."""
    return min(map(len, iterables)) if all(hasattr(each, "__len__") for each in iterables) else None


def in_order(
    submit: Callable[..., CallFuture], iterables: tuple[Iterable[Any], ...], concurrency: int, bar: Bar
) -> Iterator[Any]:
    """The results of `submit(*items)`, `concurrency` calls under way at once; leaving early cancels those.

    Items are taken on the calling thread, when a call can begin with them.
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
    """As `in_order`, over one iterable of either kind; the event loop goes on while calls run."""
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
