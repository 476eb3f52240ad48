"""The processes in `/proc`, each with its user, program, instance, containers, kernel and ancestors.

A `Look` holds the processes of one moment. Facts that cannot change while a process lives are copied from an
earlier look. There they are found by process id *and* start time, because a process id may be reused.
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
from gpumodels.lease import INSTANCE_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The machine's first PID namespace has this inode on every Linux (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_NAMESPACE = 0xEFFFFFFC
_NAMESPACE = Path("/proc/self/ns/pid")

#: A container's id. Each container runtime puts it into the path of the cgroup (v1 and v2, cgroupfs and systemd).
_CONTAINER = re.compile(r"[0-9a-f]{64}")
#: The systemd slice of a user. In their own slice, users may give cgroups any name.
_USER_SLICE = re.compile(r"/user-(\d+)\.slice/")
_NOTEBOOK = "JPY_SESSION_NAME"
_PIECE = 1 << 16  # bytes


@dataclass(frozen=True)
class Facts:
    """The facts of a process that do not change while it lives.

    For processes of other users, only facts that those users cannot forge are read.
    """

    #: True if the process belongs to this user.
    own: bool
    #: The name of the program, for display.
    program: str = ""
    #: The id of the instance in the environment of the process, "" for none.
    instance: str = ""
    #: The ids of the containers that the process runs in.
    containers: frozenset[str] = frozenset()
    #: The kernel's id if the process is a Jupyter kernel: "" if that id is not known. None for any other process.
    kernel: str | None = None
    #: The path of the notebook that started the process, from its environment; "" for none.
    notebook: str = ""
    #: The working directory.
    directory: str = ""


class Process(NamedTuple):
    """A living process. `started` is in clock ticks since boot."""

    pid: int
    parent: int
    started: int
    facts: Facts


class Look:
    """The processes at one moment. Facts that are known from `before`, an earlier look, are not read again."""

    def __init__(self, before: Look | None = None) -> None:
        self._known = {} if before is None else before.facts
        self._seen: dict[int, Process | None] = {}

    @property
    def facts(self) -> dict[tuple[int, int], Facts]:
        """Facts of the processes that this look has read, by process id and start time."""
        return {(each.pid, each.started): each.facts for each in self._seen.values() if each is not None}

    def process(self, pid: int) -> Process | None:
        """Return the process with this id, or None if it has ended."""
        if pid not in self._seen:
            self._seen[pid] = self._read(pid) if pid > 0 else None
        return self._seen[pid]

    def lineage(self, pid: int) -> Iterator[Process]:
        """Yield the process and its ancestors, the nearest first."""
        passed: set[int] = set()
        while pid not in passed and (process := self.process(pid)) is not None:
            yield process
            passed.add(pid)  # ids that are reused meanwhile could form a circle
            pid = process.parent

    def _read(self, pid: int) -> Process | None:
        try:
            parent, started = _stat(pid)
            facts = self._known.get((pid, started))
            if facts is None:
                facts = _facts(pid)
                if _stat(pid)[1] != started:
                    return self._read(pid)  # the id was reused, so the facts may belong to the former process
        except (OSError, ValueError, IndexError):
            return _unseen(pid)
        return Process(pid, parent, started, facts)


def in_first_namespace() -> bool:
    """Return True if the driver and the /proc of this process use the same process ids.

    The driver uses the ids of the machine's first PID namespace. In another namespace, such as in a container, those
    ids belong to no process or to a wrong one.
    """
    try:
        return _NAMESPACE.stat().st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _unseen(pid: int) -> Process | None:
    """Return a process that the mount option `hidepid` hides in /proc, or None if the process has ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return Process(pid, 0, 0, Facts(own=False))
    except (OSError, OverflowError):
        return None
    return Process(pid, 0, 0, Facts(own=True, program="process"))  # /proc hides it even from its own user


def _stat(pid: int) -> tuple[int, int]:
    """Return the parent of the process `pid`, and the start time of `pid` in clock ticks since boot (proc(5))."""
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
        instance=settings.get(INSTANCE_MARK, ""),
        containers=containers,
        kernel=kernel_id(command),
        notebook=settings.get(_NOTEBOOK, ""),
        directory=_directory(pid),
    )


def containers_of(cgroup: str, user: int) -> frozenset[str]:
    """Return the container ids in `/proc/PID/cgroup`. Lines of another user's slice are ignored; they may be forged."""
    trusted = (line for line in cgroup.splitlines() if not set(_USER_SLICE.findall(line)) - {str(user)})
    return frozenset(found for line in trusted for found in _CONTAINER.findall(line))


def _user(pid: int) -> int:
    """Return the real user id, which is the first of the four ids in the line `Uid`."""
    return int(_content(pid, "status").partition(b"\nUid:")[2].split(maxsplit=1)[0])


def _text(pid: int, name: str) -> str:
    """Return the content of a file of a process; "" if it may not be read or the process has ended."""
    with suppress(OSError):
        return os.fsdecode(_content(pid, name))
    return ""


def _content(pid: int, name: str) -> bytes:
    # `os.open`, because dozens of files are read each second, and `open` takes longer than the system call itself.
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _PIECE), b""))
    finally:
        os.close(fd)


def _directory(pid: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    return ""
