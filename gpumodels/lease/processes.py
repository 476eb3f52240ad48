"""Finding and ending the process tree of one instance, for the process engine.

Every process of an instance has `GPUMODELS_INSTANCE=<id>` in its initial environment: children inherit it even when
they leave their session or their parent dies, and an id is never used twice, so no reused process id is ever mistaken
for one.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "GPUMODELS_INSTANCE"


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot (proc(5), field 22 of stat); 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def same_process(pid: int, started: int) -> bool:
    """Whether `pid` still is the process that started then, and not merely a zombie of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X") and int(fields[19]) == started


def belongs(pid: int, instance_id: str) -> bool:
    """Whether the process runs inside the instance, in a container too."""
    if pid <= 0:
        return False
    with suppress(OSError):
        return f"{MARK}={instance_id}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def marked(instance_id: str) -> list[int]:
    """Every process of this user that belongs to the instance."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if belongs(pid, instance_id)]


def kill_marked(instance_id: str, within: float = 2.0) -> bool:
    """SIGKILL every process of the instance; True when none is left, within so many seconds."""
    deadline = time.monotonic() + within
    while pids := [pid for pid in marked(instance_id) if pid != os.getpid()]:
        for pid in pids:
            _kill(pid, instance_id)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _kill(pid: int, instance_id: str) -> None:
    """Kill exactly the process that carries the mark: the descriptor pins it before the mark is read again."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if belongs(pid, instance_id):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def wait_for_death(pidfd: int, within: float | None = None) -> bool:
    """Wait, so many seconds at most, until the process behind the descriptor is dead; whether it is."""
    poll = select.poll()  # select() ends at descriptor 1023, and a busy kernel has more
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if within is None else 1000 * within))
