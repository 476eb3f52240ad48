"""Who uses the cache: loads together, whoever removes from it alone."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpumodels.catalog.cache import cache_dir
from gpumodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = ".use"


@contextmanager
def using() -> Iterator[None]:
    """Within, nobody prunes: what a load has prepared is there until what it starts can be seen to use it.

    Waits for one who does. Raises EngineError where the cache cannot be made.
    """
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def alone() -> Iterator[None]:
    """Within, no load uses the cache; raises EngineError where one does just now."""
    with _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _locked(how: int) -> Iterator[None]:
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        fd = os.open(cache_dir() / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(
            f"{cache_dir()} cannot be used: {error.strerror}. Make that place writable, or set XDG_CACHE_HOME to "
            "another place."
        ) from None
    try:
        _lock(fd, how)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, how: int) -> None:
    try:
        fcntl.flock(fd, how)
    except BlockingIOError:
        raise EngineError("A model is being loaded just now. Wait until it is ready, then prune.") from None
