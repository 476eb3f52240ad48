"""GPUs: the devices of the machine, their readings, and the choice of devices for an instance.

Only this package uses NVML. Without a driver nothing here fails: `devices()` is empty, and `why_none()` returns the
reason.
"""

from __future__ import annotations

from gpumodels.devices import reservations
from gpumodels.devices.allowlist import admitted
from gpumodels.devices.claims import Claims, Need
from gpumodels.devices.device import Device, Holding, Snapshot
from gpumodels.devices.inventory import devices, driver_trouble, driver_version, snapshot, snapshots
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
    "admitted",
    "devices",
    "driver_trouble",
    "driver_version",
    "environment",
    "parse",
    "reservations",
    "select",
    "snapshot",
    "snapshots",
    "why_none",
]
