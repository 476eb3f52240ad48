"""Locks on the cache. Several loads may use the cache at once; pruning may use it only while no load does."""

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
    """Prevent pruning during the block. First wait until a prune in progress has ended.

    A load holds this lock until its instance runs. From then on pruning sees that the instance uses the files. Raises
    EngineError if the cache cannot be made.
    """
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def cache_alone() -> Iterator[None]:
    """Make loads wait until the block, which prunes, has ended. Raises EngineError if a load uses the cache now."""
    with _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def making(what: str) -> Iterator[None]:
    """Turn an OSError in the block, which makes a file or directory in the cache, into an EngineError.

    `what` names that file or directory. The message begins with it.
    """
    try:
        yield
    except GpumodelsError:  # some of them are OSErrors too, such as LoadTimeout
        raise
    except OSError as error:
        raise EngineError(
            f"{what} cannot be made in {cache_dir()}: {error.strerror or error}. Make that directory writable and free "
            "some space there, or set XDG_CACHE_HOME to another directory."
        ) from error


@contextmanager
def _locked(how: int) -> Iterator[None]:
    directory = cache_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(
            f"{directory} cannot be used: {error.strerror}. Make it writable, or set XDG_CACHE_HOME to another "
            "directory."
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
