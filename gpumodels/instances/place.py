"""Where this user's instances lie."""

from __future__ import annotations

from gpumodels import settings
from gpumodels.lease.runtime import RuntimeDirectory


def runtime_directory() -> RuntimeDirectory:
    """The one that the settings name; raises RuntimeDirectoryError, or SettingsError where that setting is wrong."""
    return RuntimeDirectory(settings.runtime_dir())
