"""The handle of a loaded model, and this process's lease and connection on each of its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.model.attachment import Attachment
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.freed import FreedMemory, measure, memory_held
    from gpumodels.model.handle import Model, Origin
    from gpumodels.model.replica import Replica
    from gpumodels.model.report import (
        CancellableReport,
        NullReport,
        Report,
        SilentReport,
        default_report,
        set_default_report,
    )

_HOMES = {
    "Attachment": "attachment",
    "CancellableReport": "report",
    "Endpoint": "endpoint",
    "FreedMemory": "freed",
    "Model": "handle",
    "NullReport": "report",
    "Origin": "handle",
    "Replica": "replica",
    "Report": "report",
    "SilentReport": "report",
    "default_report": "report",
    "measure": "freed",
    "memory_held": "freed",
    "set_default_report": "report",
}

__all__ = [
    "Attachment",
    "CancellableReport",
    "Endpoint",
    "FreedMemory",
    "Model",
    "NullReport",
    "Origin",
    "Replica",
    "Report",
    "SilentReport",
    "default_report",
    "measure",
    "memory_held",
    "set_default_report",
]

__getattr__ = lazy.names(__name__, _HOMES)
