"""Names by which processes with different versions of gpumodels reach each other. New code must not import them.

- A guard or keeper that started before an upgrade imports `gpumodels.manager.sweeping` when its kernel has died.
- A kernel that imported an older gpumodels starts `gpumodels.manager.guard` and `gpumodels.manager.keeper`.
- A Jupyter server makes kernels, which may have another version, call `gpumodels.manager.sleepers.wake_here` and
  `gpumodels.manager.stop_instance`.
"""

from __future__ import annotations

from gpumodels.instances import sleep as sleepers
from gpumodels.instances import stop_instance

__all__ = ["sleepers", "stop_instance"]
