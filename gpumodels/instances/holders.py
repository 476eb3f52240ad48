"""The processes that hold an instance, read from the locks on its lease, and their notebooks."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpumodels.lease import LEASE, USE, Owner, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpumodels.lease import InstanceDirectory

_FIELDS = 8  # the number of fields in a line of /proc/locks


def this_process() -> Owner:
    """Return this process as an owner, with the id of its kernel and the path of its notebook if they are known."""
    return Owner(os.getpid(), _kernel_id(), _notebook())


def _shell() -> Any:
    ipython = sys.modules.get("IPython")  # the kernel of a notebook has imported IPython
    return ipython.get_ipython() if ipython is not None else None


def _kernel_id() -> str:
    """Return the id in the name of the connection file, `kernel-ID.json`; "" outside Jupyter."""
    application = getattr(_shell(), "parent", None)
    name = Path(
        getattr(application, "connection_file", "")
        or getattr(getattr(application, "parent", None), "connection_file", "")
    ).name
    found = re.fullmatch(r"kernel-(.+)\.json", name)
    return found[1] if found else ""


def _notebook() -> str:
    """Return the path of the notebook, or of the program outside IPython; "" if neither is known.

    If the path of a notebook is not known, return the working directory. VS Code puts the path into a variable of the
    notebook, and the Jupyter server puts it into the environment.
    """
    shell = _shell()
    if shell is None:
        return sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return str(shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or _working_directory())


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def sign(directory: InstanceDirectory, holder: Owner) -> None:
    """Write the facts of `holder`, this process, into a file beside the lease, so that views can show its notebook."""
    with suppress(OSError):  # the file is for display only; the process holds the instance by its lock
        path = directory.path / "holders"
        path.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path / str(holder.pid), json.dumps(asdict(holder)))


def holders_of(directory: InstanceDirectory) -> list[Owner]:
    """Return the processes that hold the instance, including its keeper, the longest holder first.

    The locks are read from /proc/locks (proc(5)), which does not list processes of another PID namespace.
    """
    return _among(_locks(LEASE), directory)


def users_of(directories: Iterable[InstanceDirectory]) -> dict[str, list[Owner]]:
    """Return the processes that use each instance, by instance id. A keeper is no user. The locks are read once."""
    known = _locks(USE)
    return {directory.id: _among(known, directory) for directory in directories}


def _locks(byte: int) -> dict[str, list[int]]:
    """Return the processes with a shared lock on a byte of a file, by file. A file is named as in /proc/locks."""
    found: dict[str, list[int]] = {}
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()  # the line of a waiting process has one more field, "->" before the kind
            if len(fields) == _FIELDS and fields[1] == "POSIX" and fields[3] == "READ" and fields[6] == str(byte):
                found.setdefault(fields[5], []).append(int(fields[4]))
    return found


def _among(locks: Mapping[str, list[int]], directory: InstanceDirectory) -> list[Owner]:
    try:
        found = directory.lease_file.stat()
    except OSError:
        return []
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids = {pid for pid in locks.get(file, ()) if pid > 0}
    return [_owner(directory, pid) for pid in sorted(pids, key=lambda pid: _signed_at(directory, pid))]


def _signed_at(directory: InstanceDirectory, pid: int) -> float:
    """Return the moment at which a process called `sign`. A keeper never calls it, so its moment is infinite."""
    with suppress(OSError):
        return (directory.path / "holders" / str(pid)).stat().st_mtime
    return math.inf


def _owner(directory: InstanceDirectory, pid: int) -> Owner:
    with suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads((directory.path / "holders" / str(pid)).read_text()))
    return Owner(pid)
