"""The handle: what a loaded model is to the user."""

from __future__ import annotations

from gpumodels.model.handle import Model
from gpumodels.model.hold import Hold
from gpumodels.model.replica import Replica
from gpumodels.model.stay import Stay

__all__ = ["Hold", "Model", "Replica", "Stay"]
