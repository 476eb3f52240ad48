"""Use of the cache: loads use it together, and pruning uses it alone."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpumodels.errors import EngineError, GpumodelsError
from gpumodels.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = ".use"


@contextmanager
def using_cache() -> Iterator[None]:
    """Keep others from pruning: what a load has prepared stays until a running instance can be seen to use it.

    Waits until a prune has ended. Raises EngineError if the cache cannot be made.
    """
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def cache_alone() -> Iterator[None]:
    """Keep others from loading. Raises EngineError if a load uses the cache now."""
    with _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def making(what: str) -> Iterator[None]:
    """Make `what` in the cache within the block. Raises EngineError if the system refuses."""
    try:
        yield
    except GpumodelsError:  # some are an OSError too, such as a timeout
        raise
    except OSError as error:
        raise EngineError(
            f"{what} cannot be made in {cache_dir()}: {error.strerror or error}. Make that place writable and see that "
            "it has room, or set XDG_CACHE_HOME to another place."
        ) from error


@contextmanager
def _locked(how: int) -> Iterator[None]:
    place = cache_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        fd = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(
            f"{place} cannot be used: {error.strerror}. Make that place writable, or set XDG_CACHE_HOME to another "
            "place."
        ) from None
    try:
        fcntl.flock(fd, how)
    except BlockingIOError:
        os.close(fd)
        raise EngineError("A model is being loaded just now. Wait until it is ready, then prune.") from None
    try:
        yield
    finally:
        os.close(fd)
