"""The keeper of a kept model: `python -m gpumodels.cleanup.keeper ID FD`.

ID is the instance, and FD a descriptor that the keeper closes once it holds the lease, or has failed to get it.

The keeper is one more holder of the instance. When no other process has used the instance for the keep time of its
record, the keeper releases the lease and removes the remains. It is detached, so it survives the end of the notebook.
If it is killed, the instance ends with the last notebook that uses it, and the keeper's second process sweeps.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.cleanup.guard import sweeper
from gpumodels.lease import LeaseRefusedError, RuntimeDirectory, UnknownRecordError, guard

if TYPE_CHECKING:
    from gpumodels.lease import InstanceDirectory, InstanceRecord

_PERIOD = 0.5  # seconds between two checks for other users


def start_keeper(runtime: RuntimeDirectory, record: InstanceRecord) -> None:
    """Start the keeper of an instance, and wait until it holds the lease."""
    from gpumodels.cleanup import private_copy  # noqa: PLC0415  the keeper itself does not need it

    read, write = os.pipe()
    try:
        arguments = [record.id, str(write)]
        guard.detached("gpumodels.cleanup.keeper", runtime, arguments, write, package=private_copy.directory())
        os.close(write)
        write = -1
        os.read(read, 1)  # returns when the keeper holds the lease or has ended
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


def _keep(runtime: RuntimeDirectory, instance_id: str, held: int) -> None:
    try:
        directory, lease = runtime.join(instance_id, use=False)
        fd = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until this process ends: one keeper is enough
    except (OSError, LeaseRefusedError):
        return
    finally:
        os.close(held)
    alone_since: float | None = None
    while lease.leash_lives and directory.ended is None:
        if lease.others_use:
            if alone_since is not None:
                directory.unmark_kept()
            alone_since = None
        elif alone_since is None:
            alone_since = time.monotonic()
            directory.mark_kept()
        elif time.monotonic() - alone_since >= _keep_seconds(directory):
            break
        time.sleep(_PERIOD)
    lease.release()


def _keep_seconds(directory: InstanceDirectory) -> float:
    """Return the keep time in the record. It is read each time, because a load that joins may make it longer."""
    try:
        return directory.record().keep or 0.0
    except UnknownRecordError:
        return 0.0


def main(arguments: list[str]) -> None:
    """Run the keeper. `arguments` are the instance's id, and a descriptor to close once the lease is held."""
    instance_id, held = arguments[0], int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    runtime = RuntimeDirectory(Path(os.environ["GPUMODELS_RUNTIME_DIR"]))
    second = guard.fork_second(held)
    if second:
        _keep(runtime, instance_id, held)
    guard.until_done(sweeper(runtime))
    if second:
        os.kill(second, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
