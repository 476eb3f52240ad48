"""The sweep under its former name, by which guards and keepers of older versions import it."""

from __future__ import annotations

from gpumodels.cleanup.sweeping import sweep

__all__ = ["sweep"]
