"""Old names that processes with other versions of gpumodels use. New code must not import them.

- A guard or keeper that started before an upgrade imports `gpumodels.manager.sweeping` when its kernel has died.
- A kernel that imported an older gpumodels starts `gpumodels.manager.guard` and `gpumodels.manager.keeper`.
- A Jupyter server asks kernels, which may have another version, to call `gpumodels.manager.sleepers.wake_here` and
  `gpumodels.manager.stop_instance`.
"""

from __future__ import annotations

from gpumodels.instances import sleep as sleepers
from gpumodels.instances import stop_instance

__all__ = ["sleepers", "stop_instance"]
