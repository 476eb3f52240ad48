"""The catalog of models: finding them by name or path, reading their folders, and fetching their weights."""

from __future__ import annotations

from gpumodels.catalog.cache import cache_alone, making, using_cache
from gpumodels.catalog.discovery import find, names
from gpumodels.catalog.folder import content_hash, folder_files, sets_itself
from gpumodels.catalog.network import ca_bundle, index_url
from gpumodels.catalog.progress import Progress
from gpumodels.catalog.scaffold import new
from gpumodels.catalog.spec import Flavour, ModelSpec, Weights
from gpumodels.catalog.weights import fetch_weights

__all__ = [
    "Flavour",
    "ModelSpec",
    "Progress",
    "Weights",
    "ca_bundle",
    "cache_alone",
    "content_hash",
    "fetch_weights",
    "find",
    "folder_files",
    "index_url",
    "making",
    "names",
    "new",
    "sets_itself",
    "using_cache",
]
