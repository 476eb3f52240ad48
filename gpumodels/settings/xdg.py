"""Where a user's files lie, by the XDG base directory rules."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gpumodels.errors import GpumodelsError


def directory(variable: str, default: str) -> Path:
    """The directory of gpumodels in the place that `variable` names, or in `default`, below the user's home.

    Raises GpumodelsError where neither is known.
    """
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():  # which the specification says is to be ignored
        try:
            base = Path.home() / default
        except RuntimeError:
            raise GpumodelsError(f"your home directory is not known; set HOME or {variable}") from None
    return base / "gpumodels"


def settings_files() -> list[Path]:
    """Where a `settings.toml` may lie: the user's, then those of the whole machine, the most important first."""
    found = []
    with suppress(GpumodelsError):  # nobody's home, so there is no file in it
        found.append(directory("XDG_CONFIG_HOME", ".config"))
    system = map(Path, (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"))
    found += [base / "gpumodels" for base in system if base.is_absolute()]
    return [place / "settings.toml" for place in found]
