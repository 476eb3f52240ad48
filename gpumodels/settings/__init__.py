"""What holds for every load of this user: one `settings.toml`, and environment variables of the same names."""

from __future__ import annotations

from gpumodels.settings.definitions import KEYS, Policy, Settings
from gpumodels.settings.durations import duration
from gpumodels.settings.reading import origin, runtime_dir, settings, variable
from gpumodels.settings.sizes import size

__all__ = ["KEYS", "Policy", "Settings", "duration", "origin", "runtime_dir", "settings", "size", "variable"]
