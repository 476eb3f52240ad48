"""The sweep, under the name that guards and keepers of older versions import."""

from __future__ import annotations

from gpumodels.cleanup.sweeping import sweep

__all__ = ["sweep"]
