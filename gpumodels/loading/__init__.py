"""Loads: checking the request, placing, starting and connecting to a model, and undoing all of that on failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.loading.api import attach, load
    from gpumodels.loading.options import Option
    from gpumodels.loading.preloading import preload
    from gpumodels.loading.request import OPTIONS, LoadRequest, schema

_HOMES = {
    "OPTIONS": "request",
    "LoadRequest": "request",
    "Option": "options",
    "attach": "api",
    "load": "api",
    "preload": "preloading",
    "schema": "request",
}

__all__ = ["OPTIONS", "LoadRequest", "Option", "attach", "load", "preload", "schema"]

__getattr__ = lazy.names(__name__, _HOMES)
