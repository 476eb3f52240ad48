"""The three kinds of file lock that leases are made of, as thin wrappers over fcntl(2) and flock(2).

Three bytes of a lease file can be locked:

- `LEASE`: shared by all processes that hold the instance, with *record* locks. Such a lock ends with its process, and
  forked children do not inherit it.
- `LEASH`: held by the leash as long as it lives, with an *open file description* lock.
- `USE`: shared like `LEASE`, but only by processes that use the instance, not by keepers.

Source: fcntl(2), "Advisory record locking" and "Open file description locks".
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEASE, LEASH, USE = 0, 1, 2

_PAUSE = 0.003  # seconds between two tries to take a lock that another process has

# struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid, padded to 32 bytes.
_FLOCK = "hhqqi4x"


def _request(kind: int, byte: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


def take_record_lock(fd: int, byte: int = LEASE) -> bool:
    """Take a shared record lock on the byte. Return False if another process has locked the byte exclusively."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte, os.SEEK_SET)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


class Conflict(NamedTuple):
    """A lock of another process: `F_RDLCK` or `F_WRLCK`, and the process id (0 or less if it is not known)."""

    kind: int
    pid: int


def conflicting_lock(fd: int, byte: int) -> Conflict | None:
    """Return the first lock that another process has on `byte`, or None. This takes no lock."""
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, _request(fcntl.F_WRLCK, byte))
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else Conflict(kind, pid)


def try_description_lock(fd: int, byte: int) -> bool:
    """Take an exclusive lock on `byte` for the open file description. Return False if the byte is locked already."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK, byte))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def wait_description_lock(fd: int, byte: int) -> None:
    """Wait until `byte` can be locked exclusively for the open file description, and lock it.

    A *record* lock would not do: a process that waits for one takes part in the kernel's deadlock detection and gives
    unrelated processes EDEADLK.
    """
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK, byte))


@contextmanager
def flocked(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold flock(2) on the file `path` during the block. Make the file if it is missing, and wait for other holders."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


@contextmanager
def flocked_briefly(directory: Path, patience: float) -> Iterator[None]:
    """Hold flock(2) on a directory during the block. Wait at most `patience` seconds, then run without it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + patience
        while not _try_flock(fd) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        yield
    finally:
        with suppress(OSError):
            # Closing is not enough: a child that was forked meanwhile has the descriptor too.
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or this filesystem has no such locks
        return False
    return True


def hold_directory(path: Path) -> int:
    """Hold a shared flock on a directory, so that cleaners of /tmp leave its files alone. Return the descriptor."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)  # waits for a cleaner that is at work, which does not take long
    except BaseException:
        os.close(fd)
        raise
    return fd
