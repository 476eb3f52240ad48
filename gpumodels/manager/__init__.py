"""The composition root: load, list, stop and sweep."""

from __future__ import annotations

from gpumodels.manager.holdings import memory_held
from gpumodels.manager.instances import models, running, stop, stop_instance
from gpumodels.manager.loading import load
from gpumodels.manager.reporting import Report, SilentReport
from gpumodels.manager.sweeping import sweep

__all__ = ["Report", "SilentReport", "load", "memory_held", "models", "running", "stop", "stop_instance", "sweep"]
