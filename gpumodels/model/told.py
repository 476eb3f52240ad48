"""Errors as the caller meets them: the line that called on top, and of ours one frame below it, not the way inside."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")


def told(method: Callable[P, T]) -> Callable[P, T]:
    """What the method raises on purpose, and an interrupt, leave it without the frames that they went through."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (GpumodelsError, KeyboardInterrupt) as error:
            raise error.with_traceback(None) from None

    return call


def told_each(values: Iterator[T]) -> Iterator[T]:
    """The same for what an iterator raises while it is gone through; it is ended with this one."""
    try:
        yield from values
    except (GpumodelsError, KeyboardInterrupt) as error:
        raise error.with_traceback(None) from None
