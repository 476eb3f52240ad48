"""Removing unused things: the instances of dead notebooks, and cached images, environments and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.cleanup.guard import ensure_guard
    from gpumodels.cleanup.keeper import start_keeper
    from gpumodels.cleanup.prune import Prunable, alone, remove_unused, survey
    from gpumodels.cleanup.sweeping import reap, sweep, wait_for_endings

_HOMES = {
    "Prunable": "prune",
    "alone": "prune",
    "ensure_guard": "guard",
    "reap": "sweeping",
    "remove_unused": "prune",
    "start_keeper": "keeper",
    "survey": "prune",
    "sweep": "sweeping",
    "wait_for_endings": "sweeping",
}

__all__ = [
    "Prunable",
    "alone",
    "ensure_guard",
    "reap",
    "remove_unused",
    "start_keeper",
    "survey",
    "sweep",
    "wait_for_endings",
]

__getattr__ = lazy.names(__name__, _HOMES)
