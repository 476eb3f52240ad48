"""Recognising processes, and finding and ending those of one instance.

Every process of an instance has `GPUMODELS_INSTANCE=<id>` in its initial environment. Children inherit it even if they
leave their session or their parent dies. An id is never used twice, so a process that got a reused process id is never
mistaken for one of the instance.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

INSTANCE_MARK = "GPUMODELS_INSTANCE"


def start_time(pid: int) -> int:
    """Return the start of the process in clock ticks since boot (proc(5), field 22 of stat); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def same_process(pid: int, started: int) -> bool:
    """Return True if `pid` is still the process with the `start_time` `started`, and not a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in ("Z", "X") and int(fields[19]) == started


def belongs(pid: int, instance_id: str) -> bool:
    """Return True if the process belongs to the instance, whether it runs in a container or not."""
    if pid <= 0:
        return False
    with suppress(OSError):
        return f"{INSTANCE_MARK}={instance_id}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def of_instance(instance_id: str) -> list[int]:
    """Return the ids of this user's processes that belong to the instance."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if belongs(pid, instance_id)]


def kill_instance(instance_id: str, within: float = 2.0) -> bool:
    """Kill all processes of the instance except this one, trying for `within` seconds. Return True if none is left."""
    deadline = time.monotonic() + within
    while pids := [pid for pid in of_instance(instance_id) if pid != os.getpid()]:
        for pid in pids:
            _kill(pid, instance_id)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _kill(pid: int, instance_id: str) -> None:
    """Kill the process if it still belongs to the instance. A pidfd ensures that no other process is killed."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if belongs(pid, instance_id):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def wait_for_death(pidfd: int, within: float | None = None) -> bool:
    """Wait until the process behind the descriptor is dead, `within` seconds at most. Return True if it is dead."""
    poll = select.poll()  # select() takes descriptors up to 1023 only, and a busy kernel has more
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if within is None else 1000 * within))
