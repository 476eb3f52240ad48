"""Loading a model: request, placement, start, readiness, and undoing all of it on failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.loading.api import attach, load
    from gpumodels.loading.preload import preload

__all__ = ["attach", "load", "preload"]

__getattr__ = lazy.names(__name__, {"attach": "api", "load": "api", "preload": "preload"})
