"""Short tracebacks: errors raised on purpose leave a method without the internal frames that they passed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")


def hide_frames(method: Callable[P, T]) -> Callable[P, T]:
    """Decorate a method so that a GpumodelsError or an interrupt shows the caller's line and one frame below it."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (GpumodelsError, KeyboardInterrupt) as error:
            raise error.with_traceback(None) from None

    return call


def hide_frames_of_each(values: Iterator[T]) -> Iterator[T]:
    """Do the same for errors that an iterator raises. The iterator is closed with this one."""
    try:
        yield from values
    except (GpumodelsError, KeyboardInterrupt) as error:
        raise error.with_traceback(None) from None
