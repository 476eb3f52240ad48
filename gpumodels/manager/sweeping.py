"""The sweep under its old name, for guards and keepers of older versions.

Those processes have imported older modules, which do not work with the modules of this version. So the sweep runs in a
new interpreter: `python -m gpumodels.manager.sweeping PATH IDENTITY [PID]`. The exit status is 0 if nothing is left to
do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def sweep(runtime: Any, of_process: int | None = None) -> bool:
    """Sweep a runtime directory in a new interpreter; see `cleanup.sweep`. Return True if nothing is left to do.

    With `of_process`, the id of a dead process, the answer depends only on the instances that this process held.
    """
    process = [] if of_process is None else [str(of_process)]
    command = [sys.executable, "-m", "gpumodels.manager.sweeping", str(runtime.path), runtime.identity, *process]
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0


def main(arguments: list[str]) -> int:
    """Sweep once. `arguments` are PATH, IDENTITY and optionally PID."""
    from gpumodels.cleanup import sweep as sweep_now  # noqa: PLC0415  callers of `sweep` above must not import it
    from gpumodels.lease import RuntimeDirectory  # noqa: PLC0415

    path, identity, *process = arguments
    swept = sweep_now(RuntimeDirectory(Path(path), identity), int(process[0]) if process else None)
    return 0 if swept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
