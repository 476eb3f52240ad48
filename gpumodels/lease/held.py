"""The leases this process holds. No other module may open a lease file.

A process that closes *any* descriptor of a file loses its record locks on that file, so a lease that is held must never
be opened a second time: not to probe it, not to copy it. The table lies on `sys`, in plain tuples, so that reloading
this package (or `%autoreload`) loses neither the descriptors nor the knowledge of them.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gpumodels.lease import locks

_Key = tuple[int, int]  # device and inode of the lease file

#: What is held: (pid, lease descriptor, directory descriptor, how many times), by lease file.
_TABLE: dict[_Key, tuple[int, int, int, int]] = sys.__dict__.setdefault("_gpumodels_leases", {})
_TABLE_LOCK: threading.RLock = sys.__dict__.setdefault("_gpumodels_leases_lock", threading.RLock())


class LeaseState(Enum):
    """What a look at a lease file tells."""

    HELD = "held"  # somebody wants the instance
    ENDING = "ending"  # nobody does, and the leash is ending it
    FREE = "free"  # nobody does, and no leash has noticed (yet)


class LeaseRefusedError(Exception):
    """The lease cannot be joined: the instance is ending or gone. Start a new one."""


@dataclass(frozen=True)
class Lease:
    """One hold on an instance; the instance lives while any process has one. `release` may be called twice."""

    path: Path
    key: _Key

    @property
    def held(self) -> bool:
        entry = _TABLE.get(self.key)
        return entry is not None and entry[0] == os.getpid()

    def release(self) -> None:
        """Let go; with the last hold in this process the lock goes too."""
        if not self.held:  # a forked child holds nothing, must close nothing, and may have inherited a locked lock
            return
        with _TABLE_LOCK:
            pid, lease_fd, directory_fd, times = _TABLE[self.key]
            if times > 1:
                _TABLE[self.key] = (pid, lease_fd, directory_fd, times - 1)
                return
            del _TABLE[self.key]
            os.close(lease_fd)
            os.close(directory_fd)


def create(path: Path, nonce: str, owner: tuple[int, int] | None = None) -> Lease:
    """Make the lease file at `path`, holding it from its first moment. The caller holds the gate.

    `nonce` is written into it: the leash compares it to know that it sees this very file. `owner` is the uid and gid
    that the leash will run as, where they are not the caller's.
    """
    with _TABLE_LOCK:  # until it is in the table, another thread's probe would open and close it
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, nonce.encode())
            if owner is not None:
                os.fchown(fd, *owner)
            locks.take_record_lock(fd)
            return _enter(path, fd)
        except BaseException:
            os.close(fd)
            raise


def join(path: Path) -> Lease:
    """Hold an instance that already runs. The caller holds the gate; raises LeaseRefusedError, never waits.

    The leash may be about to wake: the lock must be granted at once, on the file that `path` still names, with the
    leash alive.
    """
    with _TABLE_LOCK:
        try:
            found = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            raise LeaseRefusedError(f"{path} is gone") from None
        key = (found.st_dev, found.st_ino)
        entry = _TABLE.get(key)
        if entry is not None and entry[0] == os.getpid():
            _TABLE[key] = (*entry[:3], entry[3] + 1)
            return Lease(path, key)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _verify(fd, path, key)
            return _enter(path, fd)
        except BaseException:
            os.close(fd)
            raise


def _verify(fd: int, path: Path, key: _Key) -> None:
    opened = os.fstat(fd)
    if (opened.st_dev, opened.st_ino) != key:
        raise LeaseRefusedError(f"{path} was replaced")
    if not locks.take_record_lock(fd):
        raise LeaseRefusedError(f"{path} is ending")
    if opened.st_nlink == 0 or not _leash_lives(fd):
        raise LeaseRefusedError(f"the leash of {path} is gone")


def _enter(path: Path, fd: int) -> Lease:
    opened = os.fstat(fd)
    key = (opened.st_dev, opened.st_ino)
    _TABLE[key] = (os.getpid(), fd, locks.hold_directory(path.parent), 1)
    return Lease(path, key)


def release_all() -> None:
    """Let go of every lease that this process holds, at once: what a kernel does as it ends."""
    for key in [key for key, entry in _TABLE.items() if entry[0] == os.getpid()]:
        lease = Lease(Path(), key)
        while lease.held:
            lease.release()


def state(path: Path) -> LeaseState:
    """Who holds the lease file at `path`, found without taking anything; FREE where there is no such file."""
    return _probe(path)[0]


def leash_lives(path: Path) -> bool:
    """Whether a leash holds its byte of the lease file at `path`."""
    return _probe(path)[1]


def _probe(path: Path) -> tuple[LeaseState, bool]:
    with _TABLE_LOCK:  # nobody may come to hold what is being probed: closing the probe would drop the new lock
        try:
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return LeaseState.FREE, False
        entry = _TABLE.get((found.st_dev, found.st_ino))
        if entry is not None and entry[0] == os.getpid():
            return LeaseState.HELD, _leash_lives(entry[1])
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return LeaseState.FREE, False
        try:
            return _lease_state(fd), _leash_lives(fd)
        finally:
            os.close(fd)


def _lease_state(fd: int) -> LeaseState:
    kind = locks.conflicting_lock(fd, locks.LEASE)
    if kind is None:
        return LeaseState.FREE
    return LeaseState.HELD if kind == fcntl.F_RDLCK else LeaseState.ENDING


def _leash_lives(fd: int) -> bool:
    return locks.conflicting_lock(fd, locks.LEASH) is not None
