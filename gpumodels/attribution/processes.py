"""Processes as `/proc` shows them: user, program, instance, container, kernel and ancestors.

A `Look` holds one moment. Facts that do not change while a process lives are taken from the look before. They are
found by process id *and* start time, so a reused id is another process.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpumodels.attribution.kernels import kernel_id
from gpumodels.attribution.program import program
from gpumodels.lease import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The machine's first PID namespace has this inode on every Linux (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_NAMESPACE = 0xEFFFFFFC
_NAMESPACE = Path("/proc/self/ns/pid")

#: A container's id. Every engine writes it into the path of its cgroup (v1 and v2, cgroupfs and systemd).
_CONTAINER = re.compile(r"[0-9a-f]{64}")
#: The slice of one user, in which that user may name cgroups anyhow.
_USER_SLICE = re.compile(r"/user-(\d+)\.slice/")
_NOTEBOOK = "JPY_SESSION_NAME"
_PIECE = 1 << 16  # bytes


@dataclass(frozen=True)
class Facts:
    """Properties of a process that last as long as it. Those of other users' processes cannot be feigned."""

    #: Whether the process belongs to this user.
    own: bool
    #: For display.
    program: str = ""
    #: Id of the instance in its environment.
    instance: str = ""
    #: Ids of the containers around it.
    containers: frozenset[str] = frozenset()
    #: Id of the Jupyter kernel that it is: "" where the id is not known, None for no kernel.
    kernel: str | None = None
    #: Path of the notebook in its environment, from which it was started.
    notebook: str = ""
    directory: str = ""


class Process(NamedTuple):
    """A process that exists. `started` is in clock ticks since boot."""

    pid: int
    parent: int
    started: int
    facts: Facts


class Look:
    """Processes at one moment. The facts in `before`, an earlier look, are not read again."""

    def __init__(self, before: Look | None = None) -> None:
        self._known = {} if before is None else before.facts
        self._seen: dict[int, Process | None] = {}

    @property
    def facts(self) -> dict[tuple[int, int], Facts]:
        """Facts of the processes that this look has read, by process id and start time."""
        return {(each.pid, each.started): each.facts for each in self._seen.values() if each is not None}

    def process(self, pid: int) -> Process | None:
        """Return the process with this id; None where it has ended."""
        if pid not in self._seen:
            self._seen[pid] = self._read(pid) if pid > 0 else None
        return self._seen[pid]

    def lineage(self, pid: int) -> Iterator[Process]:
        """Yield the process and its ancestors, the nearest first."""
        passed: set[int] = set()
        while pid not in passed and (process := self.process(pid)) is not None:
            yield process
            passed.add(pid)  # ids reused meanwhile could form a circle
            pid = process.parent

    def _read(self, pid: int) -> Process | None:
        try:
            parent, started = _stat(pid)
            facts = self._known.get((pid, started))
            if facts is None:
                facts = _facts(pid)
                if _stat(pid)[1] != started:
                    return self._read(pid)  # the facts may be those of the process before
        except (OSError, ValueError, IndexError):
            return _unseen(pid)
        return Process(pid, parent, started, facts)


def in_first_namespace() -> bool:
    """Return True if the driver's process ids are those of this process's /proc.

    The driver counts in the machine's first PID namespace. In another one, as in a container, its ids belong to no
    process or to a wrong one.
    """
    try:
        return _NAMESPACE.stat().st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _unseen(pid: int) -> Process | None:
    """Return a process that /proc does not show: hidden by `hidepid`, or None where it has ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return Process(pid, 0, 0, Facts(own=False))
    except (OSError, OverflowError):
        return None
    return Process(pid, 0, 0, Facts(own=True, program="process"))  # it hides from its own user


def _stat(pid: int) -> tuple[int, int]:
    """Return the parent's id and the start time, in clock ticks since boot (proc(5))."""
    fields = _content(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]), int(fields[19])


def _facts(pid: int) -> Facts:
    user = os.getuid()
    containers = containers_of(_text(pid, "cgroup"), user)
    if _user(pid) != user:
        return Facts(own=False, containers=containers)
    settings = dict(each.partition("=")[::2] for each in _text(pid, "environ").split("\0"))
    command = _text(pid, "cmdline").split("\0")[:-1]
    return Facts(
        own=True,
        program=program(command) or _text(pid, "comm").strip() or "process",
        instance=settings.get(MARK, ""),
        containers=containers,
        kernel=kernel_id(command),
        notebook=settings.get(_NOTEBOOK, ""),
        directory=_directory(pid),
    )


def containers_of(cgroup: str, user: int) -> frozenset[str]:
    """Return the container ids in `/proc/PID/cgroup`, except for lines within another user's slice."""
    trusted = (line for line in cgroup.splitlines() if not set(_USER_SLICE.findall(line)) - {str(user)})
    return frozenset(found for line in trusted for found in _CONTAINER.findall(line))


def _user(pid: int) -> int:
    """Return the real user id, the first of the four."""
    return int(_content(pid, "status").partition(b"\nUid:")[2].split(maxsplit=1)[0])


def _text(pid: int, name: str) -> str:
    """Return the content of a file; "" where it may not be read, or has gone with its process."""
    with suppress(OSError):
        return os.fsdecode(_content(pid, name))
    return ""


def _content(pid: int, name: str) -> bytes:
    # Dozens of these are read each second, and the layers of `open` take longer than the system call.
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _PIECE), b""))
    finally:
        os.close(fd)


def _directory(pid: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    return ""
