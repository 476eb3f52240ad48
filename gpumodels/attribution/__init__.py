"""GPU memory by holder: models, notebooks, other processes and other users."""

from __future__ import annotations

from gpumodels.attribution.form import as_json
from gpumodels.attribution.holders import Holders
from gpumodels.attribution.processes import Look
from gpumodels.attribution.sampler import Sampler
from gpumodels.attribution.snapshot import DeviceUsage, Kind, Share, Usage

__all__ = ["DeviceUsage", "Holders", "Kind", "Look", "Sampler", "Share", "Usage", "as_json"]
