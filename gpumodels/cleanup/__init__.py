"""Removing what nobody uses any more: instances of dead notebooks, and cached images, environments and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.cleanup.sweeping import sweep

__all__ = ["sweep"]

__getattr__ = lazy.names(__name__, {"sweep": "sweeping"})
