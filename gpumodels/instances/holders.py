"""Who holds an instance: the locks on its lease say which processes, files beside it say what those are."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.instances import owner
from gpumodels.lease.locks import LEASE, USE
from gpumodels.lease.places import write_atomically
from gpumodels.lease.record import Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpumodels.lease.directory import InstanceDirectory

_FIELDS = 8  # of a line of /proc/locks


def sign(directory: InstanceDirectory) -> None:
    """Say who this process is, for those who ask who holds the instance."""
    with suppress(OSError):  # a courtesy: the lock is what counts
        place = directory.path / "holders"
        place.mkdir(mode=0o700, exist_ok=True)
        write_atomically(place / str(os.getpid()), json.dumps(asdict(owner.current())))


def holders(directory: InstanceDirectory) -> list[Owner]:
    """The processes that hold the instance, its keeper too, the one that has for longest first.

    From /proc/locks (proc(5)): processes of another PID namespace are not seen.
    """
    return _among(_locks(LEASE), directory)


def users(directories: Iterable[InstanceDirectory]) -> dict[str, list[Owner]]:
    """The same by instance id, but only those that use it and do not merely keep it; the system is asked once."""
    known = _locks(USE)
    return {directory.id: _among(known, directory) for directory in directories}


def _locks(byte: int) -> dict[str, list[int]]:
    """The processes that share that byte of a file, by the file's device and inode as the system writes them."""
    found: dict[str, list[int]] = {}
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()  # of one who waits there is "->" before the kind
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
    return [_who(directory, pid) for pid in sorted(pids, key=lambda pid: _since(directory, pid))]


def _since(directory: InstanceDirectory, pid: int) -> float:
    """When it said who it is; a keeper never does. The system lists locks in no order."""
    with suppress(OSError):
        return (directory.path / "holders" / str(pid)).stat().st_mtime
    return math.inf


def _who(directory: InstanceDirectory, pid: int) -> Owner:
    with suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads((directory.path / "holders" / str(pid)).read_text()))
    return Owner(pid)
