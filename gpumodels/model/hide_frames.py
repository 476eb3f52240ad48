"""Short tracebacks for methods: they leave out the internal frames of gpumodels."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")


def hide_frames(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a method so that its errors have short tracebacks.

    The traceback of a GpumodelsError or KeyboardInterrupt shows the caller's line and one frame below that line.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (GpumodelsError, KeyboardInterrupt) as error:
            raise error.with_traceback(None) from None

    return call


def hide_frames_of_each(values: Iterator[T]) -> Iterator[T]:
    """Yield the values of an iterator, and shorten the tracebacks of its errors as `hide_frames` does."""
    try:
        yield from values
    except (GpumodelsError, KeyboardInterrupt) as error:
        raise error.with_traceback(None) from None
