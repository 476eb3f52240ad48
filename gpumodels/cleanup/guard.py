"""The guard of one process: `python -m gpumodels.cleanup.guard PIDFD PID IDENTITY`.

It waits for the death of the process behind the descriptor, whose id is PID, and then sweeps. The runtime directory is
the one of that identity, as it was when the process loaded: not what the settings name by now, nor a directory that
somebody made anew in its place.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.lease import RuntimeDirectory, guard

if TYPE_CHECKING:
    from collections.abc import Callable


def ensure_guard(runtime: RuntimeDirectory) -> None:
    """Start this process's guard, unless it runs."""
    from gpumodels.cleanup import private_copy  # noqa: PLC0415  what the guard itself need not import

    guard.ensure("gpumodels.cleanup.guard", runtime, private_copy.directory)


def sweeper(runtime: RuntimeDirectory, of_process: int | None = None) -> Callable[[], bool]:
    """Return the sweep of a guard or keeper. It is imported when there is work: until then the process stays small."""

    def sweep() -> bool:
        from gpumodels.cleanup import sweeping  # noqa: PLC0415

        return sweeping.sweep(runtime, of_process=of_process)

    return sweep


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
