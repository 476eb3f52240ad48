"""Checks of this machine, each with advice on how to fix what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import lazy

if TYPE_CHECKING:
    from gpumodels.doctor.checks import run_checks
    from gpumodels.doctor.finding import Finding

_HOMES = {"Finding": "finding", "run_checks": "checks"}

__all__ = ["Finding", "run_checks"]

__getattr__ = lazy.names(__name__, _HOMES)
