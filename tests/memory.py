"""A memory cgroup for tests, in which the system kills a process that takes too much."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_V1 = Path("/sys/fs/cgroup/memory")
_V2 = Path("/sys/fs/cgroup")


def available() -> bool:
    """Return True if this process may make such a cgroup (v1, or v2 if the root delegates the controller)."""
    return os.access(_root(), os.W_OK) and (_v1() or "memory" in _read(_V2 / "cgroup.subtree_control"))


def _v1() -> bool:
    return (_V1 / "memory.limit_in_bytes").exists()


def _root() -> Path:
    return _V1 if _v1() else _V2


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@contextmanager
def bounded_memory(pid: int, limit: int) -> Iterator[Callable[[], int]]:
    """Limit the memory of a process, in bytes. Yield a function that returns how often the system killed a process."""
    group = Path(tempfile.mkdtemp(prefix="gpumodels-test-", dir=_root()))
    bounds = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if _v1() else ("memory.max", "memory.swap.max")
    for name in bounds:
        if (group / name).exists():
            (group / name).write_text("0" if name == "memory.swap.max" else str(limit))
    (group / "cgroup.procs").write_text(str(pid))
    events = group / ("memory.oom_control" if _v1() else "memory.events")
    yield lambda: int(re.findall(r"oom_kill (\d+)", events.read_text())[0])
    while _read(group / "cgroup.procs"):
        time.sleep(0.01)
    group.rmdir()
