"""The guard of one process: `python -m gpumodels.cleanup.guard PIDFD PID IDENTITY`.

The guard waits for the death of the process PID, which PIDFD refers to, and then sweeps. It sweeps the runtime
directory of the process's first load. IDENTITY identifies that directory, because the settings may have changed since,
or the directory may have been removed and made again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.lease import RuntimeDirectory, guard

if TYPE_CHECKING:
    from collections.abc import Callable


def ensure_guard(runtime: RuntimeDirectory) -> None:
    """Start the guard of this process, unless it runs."""
    from gpumodels.cleanup import private_copy  # noqa: PLC0415  the guard itself does not need it

    guard.ensure("gpumodels.cleanup.guard", runtime, private_copy.directory)


def sweeper(runtime: RuntimeDirectory, of_process: int | None = None) -> Callable[[], bool]:
    """Return the sweep function of a guard or keeper. It imports `sweeping` only when it is called, to save memory."""

    def sweep() -> bool:
        try:
            from gpumodels.cleanup import sweeping  # noqa: PLC0415
        except ImportError:  # the cache was deleted, and with it the copy of the package that this process imports from
            return _sweep_in_new_process(runtime, of_process)
        return sweeping.sweep(runtime, of_process=of_process)

    return sweep


def _sweep_in_new_process(runtime: RuntimeDirectory, of_process: int | None) -> bool:
    """Sweep by a new interpreter, which imports the installed package."""
    process = [] if of_process is None else [str(of_process)]
    command = [sys.executable, "-m", "gpumodels.manager.sweeping", str(runtime.path), runtime.identity, *process]
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0


def main(arguments: list[str]) -> None:
    """Run the guard; `arguments` are PIDFD, PID and IDENTITY."""
    pidfd, pid, identity = arguments
    runtime = RuntimeDirectory(Path(os.environ["GPUMODELS_RUNTIME_DIR"]), identity)
    second = guard.fork_second()
    guard.watch(int(pidfd), sweeper(runtime, int(pid)))
    if second:
        os.kill(second, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
