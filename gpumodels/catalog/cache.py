"""Where this user's cached and own files lie, by the XDG base directory rules."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """What can be made again: weights, environments. Not created here; may be deleted while nothing loads."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """What is the user's own, such as model folders. Not created here."""
    return _xdg("XDG_DATA_HOME", ".local/share")


def _xdg(variable: str, default: str) -> Path:
    base = Path(os.environ.get(variable, ""))
    # The specification says that a relative path is to be ignored.
    return (base if base.is_absolute() else Path.home() / default) / "gpumodels"
