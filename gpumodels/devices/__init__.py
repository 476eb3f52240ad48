"""GPUs: which there are, what they hold, and which of them an instance gets. The one gate to NVML.

Without a driver nothing here fails: `devices()` is empty and `why_none()` says why.
"""

from __future__ import annotations

from gpumodels.devices.claims import Claims, Need
from gpumodels.devices.device import Device, Holding, Snapshot
from gpumodels.devices.inventory import devices, snapshot, snapshots
from gpumodels.devices.naming import GpuChoice, parse
from gpumodels.devices.placement import Full, Room, select, why_none
from gpumodels.devices.settings import environment

__all__ = [
    "Claims",
    "Device",
    "Full",
    "GpuChoice",
    "Holding",
    "Need",
    "Room",
    "Snapshot",
    "devices",
    "environment",
    "parse",
    "select",
    "snapshot",
    "snapshots",
    "why_none",
]
