"""The three kinds of file lock that leases are made of, as thin wrappers over fcntl(2) and flock(2).

Three bytes of a lease file are lockable. Byte `LEASE` is held shared by every process that wants the instance,
as a *record* lock: it dies with the process and forked children do not inherit it. Byte `LEASH` is held by the
leash, as an *open file description* lock, for as long as the leash lives. Byte `USE` is held as `LEASE` is, by
those who use the instance and do not only keep it for others.

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

_LOOK = 0.003  # seconds between two tries to take a lock that others have

# struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid, padded to 32 bytes.
_FLOCK = "hhqqi4x"


def _request(kind: int, byte: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


def take_record_lock(fd: int, byte: int = LEASE) -> bool:
    """Hold the byte shared with a record lock; False where somebody has it exclusively."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte, os.SEEK_SET)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


class Found(NamedTuple):
    """A lock of another process: `F_RDLCK` or `F_WRLCK`, and whose (0 or less where that cannot be told)."""

    kind: int
    pid: int


def conflicting_lock(fd: int, byte: int) -> Found | None:
    """The first lock that another process has on `byte`, or None; takes nothing."""
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, _request(fcntl.F_WRLCK, byte))
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else Found(kind, pid)


def try_description_lock(fd: int, byte: int) -> bool:
    """Take `byte` exclusively for the open file description; False where somebody has it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK, byte))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def wait_description_lock(fd: int, byte: int) -> None:
    """Block until `byte` is ours exclusively.

    An open file description lock, because a waiter for a *record* lock takes part in the kernel's deadlock
    detection and gives unrelated processes EDEADLK.
    """
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK, byte))


@contextmanager
def flocked(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold flock(2) on the file `path` (made if missing) for the block; waits for others."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


@contextmanager
def flocked_briefly(directory: Path, patience: float) -> Iterator[None]:
    """Hold flock(2) on a directory for the block, which runs without it where it is not had in so many seconds."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + patience
        while not _try_flock(fd) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile has the descriptor too
        os.close(fd)


def _try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or this filesystem has no such locks
        return False
    return True


def hold_directory(path: Path) -> int:
    """A descriptor that holds a shared flock on a directory, so that cleaners of /tmp leave it and all in it alone."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)  # waits for a cleaner that is at it, which is brief
    except BaseException:
        os.close(fd)
        raise
    return fd
