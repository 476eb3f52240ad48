"""The user's directories, by the XDG Base Directory Specification. None of them is created here."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gpumodels.errors import GpumodelsError

_NAME = "gpumodels"  # the name of the package's own directory in each of the base directories


def cache_dir() -> Path:
    """Return the directory of files that can be made again, such as weights. You may delete it while no model loads.

    Raises GpumodelsError if the home directory is not known and XDG_CACHE_HOME is not set.
    """
    return _directory("XDG_CACHE_HOME", ".cache")


def data_dir() -> Path:
    """Return the directory of the user's own files, such as model folders.

    Raises GpumodelsError if the home directory is not known and XDG_DATA_HOME is not set.
    """
    return _directory("XDG_DATA_HOME", ".local/share")


def state_dir() -> Path:
    """Return the directory of measurements that later loads use, such as the memory that models took.

    Raises GpumodelsError if the home directory is not known and XDG_STATE_HOME is not set.
    """
    return _directory("XDG_STATE_HOME", ".local/state")


def settings_files() -> list[Path]:
    """Return the paths of settings files: the user's, then those of the machine, the most important first."""
    found = []
    with suppress(GpumodelsError):  # without a home directory there is no file in it
        found.append(_directory("XDG_CONFIG_HOME", ".config"))
    system = map(Path, (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"))
    found += [base / _NAME for base in system if base.is_absolute()]
    return [directory / "settings.toml" for directory in found]


def _directory(variable: str, default: str) -> Path:
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():  # the specification ignores such a value
        try:
            base = Path.home() / default
        except RuntimeError:
            raise GpumodelsError(f"your home directory is not known; set HOME or {variable}") from None
    return base / _NAME
