"""GPU memory by holder: models, notebooks, other processes and other users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.attribution import peaks
    from gpumodels.attribution.colours import PALETTE, distinct_id
    from gpumodels.attribution.form import as_json
    from gpumodels.attribution.holders import Holders
    from gpumodels.attribution.picture import as_html
    from gpumodels.attribution.processes import Look
    from gpumodels.attribution.sampler import Sampler
    from gpumodels.attribution.shares import held, held_in_all, split
    from gpumodels.attribution.snapshot import DeviceUsage, Kind, Share, Usage
    from gpumodels.attribution.text import as_lines, as_text

_HOMES = {
    "DeviceUsage": "snapshot",
    "Holders": "holders",
    "Kind": "snapshot",
    "Look": "processes",
    "PALETTE": "colours",
    "Sampler": "sampler",
    "Share": "snapshot",
    "Usage": "snapshot",
    "as_html": "picture",
    "as_json": "form",
    "as_lines": "text",
    "as_text": "text",
    "distinct_id": "colours",
    "held": "shares",
    "held_in_all": "shares",
    "split": "shares",
}

__all__ = [
    "PALETTE",
    "DeviceUsage",
    "Holders",
    "Kind",
    "Look",
    "Sampler",
    "Share",
    "Usage",
    "as_html",
    "as_json",
    "as_lines",
    "as_text",
    "distinct_id",
    "held",
    "held_in_all",
    "peaks",
    "split",
]

__getattr__ = lazy.names(__name__, _HOMES)
