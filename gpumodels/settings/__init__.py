"""Settings that hold for every load of this user: `settings.toml`, and environment variables of the same names."""

from __future__ import annotations

from gpumodels.settings.definitions import KEYS, Policy, Settings
from gpumodels.settings.directories import cache_dir, data_dir, state_dir
from gpumodels.settings.reading import origin, runtime_dir, settings, variable
from gpumodels.settings.units import duration, size

__all__ = [
    "KEYS",
    "Policy",
    "Settings",
    "cache_dir",
    "data_dir",
    "duration",
    "origin",
    "runtime_dir",
    "settings",
    "size",
    "state_dir",
    "variable",
]
