"""`python -m gpumodels.manager.guard PIDFD PID`: the guard of the process of that id, behind that descriptor."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gpumodels.lease.guard import watch
from gpumodels.lease.runtime import RuntimeDirectory


def _sweep() -> bool:
    path = Path(os.environ["GPUMODELS_RUNTIME_DIR"])  # not as the settings may say by now
    if not path.is_dir():
        return True  # somebody removed all there was
    from gpumodels.manager.sweeping import sweep  # noqa: PLC0415  the guard stays small until it has work

    return sweep(RuntimeDirectory(path), of_process=int(sys.argv[2]))


if __name__ == "__main__":
    watch(int(sys.argv[1]), _sweep)
