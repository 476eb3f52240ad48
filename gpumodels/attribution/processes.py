"""What `/proc` tells of processes: whose they are, what they belong to, and what they descend from.

A `Look` is one moment. Facts that do not change while a process lives are taken over from the look before, known
by process id *and* start time, so a reused id is another process.
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
from gpumodels.lease.processes import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The machine's first PID namespace has this inode on every Linux (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_NAMESPACE = 0xEFFFFFFC
_NAMESPACE = Path("/proc/self/ns/pid")

#: A container's id, as every engine writes it somewhere into the path of its cgroup (v1 and v2, cgroupfs and systemd).
_CONTAINER = re.compile(r"[0-9a-f]{64}")
#: Within it that user names cgroups as they like.
_SOMEBODY_S = re.compile(r"/user-(\d+)\.slice/")
_NOTEBOOK = "JPY_SESSION_NAME"
_PIECE = 1 << 16  # bytes


@dataclass(frozen=True)
class Facts:
    """What does not change while a process lives; of another user's process only what nobody can feign."""

    #: Of this user.
    own: bool
    #: For display.
    program: str = ""
    #: Id of the instance that its environment names.
    instance: str = ""
    #: Containers that it runs in.
    containers: frozenset[str] = frozenset()
    #: The kernel's id where it is a Jupyter kernel, "" for one without a known id; None where it is none.
    kernel: str | None = None
    #: Path of the notebook that it was started from, as its environment says.
    notebook: str = ""
    directory: str = ""


class Process(NamedTuple):
    """A process that there is."""

    pid: int
    parent: int
    started: int
    facts: Facts


class Look:
    """Processes at one moment; `before` is an earlier look, whose facts are not read again."""

    def __init__(self, before: Look | None = None) -> None:
        self._known = {} if before is None else before.facts
        self._seen: dict[int, Process | None] = {}

    @property
    def facts(self) -> dict[tuple[int, int], Facts]:
        """Of the processes that were asked for, by process id and start time."""
        return {(each.pid, each.started): each.facts for each in self._seen.values() if each is not None}

    def process(self, pid: int) -> Process | None:
        """The process of that id; None where there is none any more."""
        if pid not in self._seen:
            self._seen[pid] = self._read(pid) if pid > 0 else None
        return self._seen[pid]

    def lineage(self, pid: int) -> Iterator[Process]:
        """The process and those it descends from, the nearest first."""
        passed: set[int] = set()
        while pid not in passed and (process := self.process(pid)) is not None:
            yield process
            passed.add(pid)  # ids that are reused while we look could lead in a circle
            pid = process.parent

    def _read(self, pid: int) -> Process | None:
        try:
            parent, started = _stat(pid)
            facts = self._known.get((pid, started))
            if facts is None:
                facts = _facts(pid)
                if _stat(pid)[1] != started:
                    return self._read(pid)  # the facts may be of the one before
        except (OSError, ValueError, IndexError):
            return _unseen(pid)
        return Process(pid, parent, started, facts)


def are_believed() -> bool:
    """Whether process ids that the driver tells are the ones that /proc knows here.

    The driver counts in the machine's first PID namespace. In another one, a container's, its ids stand for nobody,
    or for the wrong ones.
    """
    try:
        return _NAMESPACE.stat().st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _unseen(pid: int) -> Process | None:
    """A process of which /proc tells nothing: it has ended, or processes are hidden (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return Process(pid, 0, 0, Facts(own=False))
    except (OSError, OverflowError):
        return None
    return Process(pid, 0, 0, Facts(own=True, program="process"))  # one that hides from its own user


def _stat(pid: int) -> tuple[int, int]:
    """Parent and start time, in clock ticks since boot (proc(5))."""
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
    """The containers that `/proc/PID/cgroup` names, but for what lies within the slice of another than `user`."""
    told = (line for line in cgroup.splitlines() if not set(_SOMEBODY_S.findall(line)) - {str(user)})
    return frozenset(found for line in told for found in _CONTAINER.findall(line))


def _user(pid: int) -> int:
    """Who started it: the real user id, the first of the four."""
    return int(_content(pid, "status").partition(b"\nUid:")[2].split(maxsplit=1)[0])


def _text(pid: int, name: str) -> str:
    """Of a file that may not be ours to read, or that has gone with its process: ""."""
    with suppress(OSError):
        return os.fsdecode(_content(pid, name))
    return ""


def _content(pid: int, name: str) -> bytes:
    # Dozens of these are read each second: without the layers of `open`, which take longer than the kernel.
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _PIECE), b""))
    finally:
        os.close(fd)


def _directory(pid: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    return ""
