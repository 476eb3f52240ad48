"""The guard of one process: `python -m gpumodels.cleanup.guard PIDFD PID IDENTITY`.

The process of that id, behind that descriptor; the runtime directory is the one of that identity, as it was when the
process loaded: not as the settings may say by now, nor what somebody made anew in its place.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gpumodels.lease.guard import fork_second, watch
from gpumodels.lease.runtime import RuntimeDirectory


def _guard(pidfd: int, pid: int, identity: str) -> None:
    runtime = RuntimeDirectory(Path(os.environ["GPUMODELS_RUNTIME_DIR"]), identity)

    def sweep() -> bool:
        from gpumodels.cleanup import sweeping  # noqa: PLC0415  the guard stays small until it has work

        return sweeping.sweep(runtime, of_process=pid)

    second = fork_second()
    watch(pidfd, sweep)
    if second:
        os.kill(second, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Run the guard; `arguments` are PIDFD, PID and IDENTITY."""
    pidfd, pid, identity = arguments
    _guard(int(pidfd), int(pid), identity)


if __name__ == "__main__":
    main(sys.argv[1:])
