"""The composition root: load, list, stop and sweep. Names are looked up when first used; the guard needs few."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpumodels.manager.ahead import import_ahead
    from gpumodels.manager.instances import choose, handles, models, running, stop, stop_instance
    from gpumodels.manager.loading import attach, load
    from gpumodels.manager.reporting import Report, SilentReport, show_by
    from gpumodels.manager.sleeping import sleep_instance
    from gpumodels.manager.sweeping import sweep

_HOMES = {
    "Report": "reporting",
    "SilentReport": "reporting",
    "attach": "loading",
    "choose": "instances",
    "handles": "instances",
    "import_ahead": "ahead",
    "load": "loading",
    "models": "instances",
    "running": "instances",
    "show_by": "reporting",
    "sleep_instance": "sleeping",
    "stop": "instances",
    "stop_instance": "instances",
    "sweep": "sweeping",
}

#: What is told as a whole.
_ROOMS = ("loads", "sleepers")

__all__ = [
    "Report",
    "SilentReport",
    "attach",
    "choose",
    "handles",
    "import_ahead",
    "load",
    "models",
    "running",
    "show_by",
    "sleep_instance",
    "stop",
    "stop_instance",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"gpumodels.manager.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'gpumodels.manager' has no attribute {name!r}")
    return getattr(import_module(f"gpumodels.manager.{_HOMES[name]}"), name)
