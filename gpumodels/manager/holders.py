"""Who holds an instance: the locks on its lease say which processes, files beside it say what those are."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.lease.places import write_atomically
from gpumodels.lease.record import Owner
from gpumodels.manager import owner

if TYPE_CHECKING:
    from gpumodels.lease.directory import InstanceDirectory

_FIELDS = 6  # at least, of a line of /proc/locks


def sign(directory: InstanceDirectory) -> None:
    """Say who this process is, for those who ask who holds the instance."""
    with suppress(OSError):  # a courtesy: the lock is what counts
        place = directory.path / "holders"
        place.mkdir(mode=0o700, exist_ok=True)
        write_atomically(place / str(os.getpid()), json.dumps(asdict(owner.current())))


def holders(directory: InstanceDirectory) -> list[Owner]:
    """The processes that hold the instance, the one that has for longest first.

    From /proc/locks (proc(5)): processes of another PID namespace are not seen.
    """
    try:
        found = directory.lease_file.stat()
        locks = Path("/proc/locks").read_text()
    except OSError:
        return []
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids = []
    for line in locks.splitlines():
        fields = [field for field in line.split() if field != "->"]
        if len(fields) > _FIELDS and fields[1] == "POSIX" and fields[3] == "READ" and fields[5] == wanted:
            pids.append(int(fields[4]))
    return [_who(directory, pid) for pid in dict.fromkeys(pids) if pid > 0]


def _who(directory: InstanceDirectory, pid: int) -> Owner:
    with suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads((directory.path / "holders" / str(pid)).read_text()))
    return Owner(pid)
