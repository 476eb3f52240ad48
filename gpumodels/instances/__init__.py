"""Running, sleeping and loading models of this user, in whichever process they were loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.instances.place import runtime_directory
    from gpumodels.instances.registry import choose, handles, models, running, stop, stop_instance
    from gpumodels.instances.sleep import sleep_instance

_HOMES = {
    "choose": "registry",
    "handles": "registry",
    "models": "registry",
    "running": "registry",
    "runtime_directory": "place",
    "sleep_instance": "sleep",
    "stop": "registry",
    "stop_instance": "registry",
}

__all__ = [
    "choose",
    "handles",
    "models",
    "running",
    "runtime_directory",
    "sleep_instance",
    "stop",
    "stop_instance",
]

__getattr__ = lazy.names(__name__, _HOMES)
