"""Where this user's cached and own files lie, by the XDG base directory rules."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gpumodels.errors import EngineError, GpumodelsError
from gpumodels.settings import xdg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def cache_dir() -> Path:
    """What can be made again: weights, environments. Not created here; may be deleted while nothing loads.

    Raises GpumodelsError where the user has no home directory and XDG_CACHE_HOME names no other place.
    """
    return xdg.directory("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """What is the user's own, such as model folders. Not created here. Raises GpumodelsError like `cache_dir`."""
    return xdg.directory("XDG_DATA_HOME", ".local/share")


@contextmanager
def making(what: str) -> Iterator[None]:
    """Make `what` in the cache within the block; raises EngineError where the system does not let it."""
    try:
        yield
    except GpumodelsError:  # some are an OSError too, such as a timeout
        raise
    except OSError as error:
        raise EngineError(
            f"{what} cannot be made in {cache_dir()}: {error.strerror or error}. Make that place writable and see that "
            "it has room, or set XDG_CACHE_HOME to another place."
        ) from error
