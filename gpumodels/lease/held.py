"""The leases that this process holds. No other module may open a lease file.

A process that closes *any* descriptor of a file loses its record locks on that file. So a lease file that is held must
never be opened a second time, not even to probe or copy it.

The table of leases lies on `sys`, in plain tuples, so that it survives a reload of this package (or `%autoreload`).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from gpumodels.lease import locks, processes

if TYPE_CHECKING:
    from pathlib import Path

#: The prefix of the name of a claimed directory: one that was renamed because it will be removed.
SWEPT = ".swept-"

_Key = tuple[int, int]  # device and inode of the lease file

#: The leases by lease file: the pid of their process, the open descriptors (that of the lease file is the first), and
#: the names of the `Lease` objects.
_TABLE: dict[_Key, tuple[int, tuple[int, ...], frozenset[str]]] = sys.__dict__.setdefault("_gpumodels_leases", {})
_TABLE_LOCK: threading.RLock = sys.__dict__.setdefault("_gpumodels_leases_lock", threading.RLock())

# A fork takes the lock first. Otherwise a child could inherit it from a thread that does not exist in the child.
os.register_at_fork(before=_TABLE_LOCK.acquire, after_in_parent=_TABLE_LOCK.release, after_in_child=_TABLE_LOCK.release)


class LeaseState(Enum):
    """The state of a lease, as its file shows it to other processes."""

    HELD = "held"  # a process holds the instance
    ENDING = "ending"  # no process holds the instance, and the leash is ending it
    FREE = "free"  # no process holds the instance, and no leash has noticed that (yet)


class LeaseRefusedError(Exception):
    """The error if a lease cannot be joined, because the instance is ending or gone. Start a new instance."""


@dataclass(frozen=True)
class Lease:
    """A lease of this process on an instance. The instance lives while any process has one.

    `path` and `key` identify the lease file. `name` tells this lease from others of this process on the same file.
    `release` may be called twice.
    """

    path: Path
    key: _Key
    name: str

    @property
    def held(self) -> bool:
        entry = _held_here(self.key)
        return entry is not None and self.name in entry[1]

    @property
    def leash_lives(self) -> bool:
        """True if the leash of the instance lives. The open file shows that even if the directory has vanished."""
        with _TABLE_LOCK:
            entry = _held_here(self.key)
            return entry is not None and _leash_lives(entry[0][0])

    @property
    def others_use(self) -> bool:
        """True if another process, or this process by another lease, uses the instance. Keepers do not count."""
        with _TABLE_LOCK:
            entry = _held_here(self.key)
            if entry is None:
                return False
            descriptors, names = entry
            return bool(names - {self.name}) or _used(descriptors[0], self.path.parent.name)

    def release(self) -> None:
        """Release the lease. If this process has no other lease on the instance, drop the lock too.

        In a forked child, which holds no leases, do nothing.
        """
        with _TABLE_LOCK:
            entry = _held_here(self.key)
            if entry is None or self.name not in entry[1]:
                return
            descriptors, names = entry
            if len(names) > 1:
                _TABLE[self.key] = (os.getpid(), descriptors, names - {self.name})
            else:
                _drop(self.key)


def _held_here(key: _Key) -> tuple[tuple[int, ...], frozenset[str]] | None:
    """Return the descriptors and names of this process's leases on a file. A forked child has none."""
    entry = _TABLE.get(key)
    return entry[1:] if entry is not None and entry[0] == os.getpid() else None


def _drop(key: _Key) -> None:
    for descriptor in _TABLE.pop(key)[1]:
        os.close(descriptor)


def create(path: Path, nonce: str, owner: tuple[int, int] | None = None) -> Lease:
    """Make the lease file at `path` and hold it from its first moment. The caller holds the runtime directory's gate.

    `nonce` is a random text, which is written into the file. The leash reads it to verify that it sees this very file.
    `owner` is the uid and gid that the leash will run as, if they are not the caller's.
    """
    with _TABLE_LOCK:  # until the file is in the table, a probe of another thread would close it, which drops the lock
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, nonce.encode())
            if owner is not None:
                os.fchown(fd, *owner)
            locks.take_record_lock(fd)
            locks.take_record_lock(fd, locks.USE)
            return _enter(path, fd)
        except BaseException:
            os.close(fd)
            raise


def join(path: Path, *, use: bool = True) -> Lease:
    """Take a lease on an instance that already runs, to `use` it or to keep it for others.

    The caller holds the gate of the runtime directory. This never waits for the lock, because the leash may be about to
    end the instance. Raises LeaseRefusedError if the lock is not granted at once, if the file was removed or replaced,
    or if the leash is dead.
    """
    with _TABLE_LOCK:
        try:
            found = os.stat(path, follow_symlinks=False)
            key = (found.st_dev, found.st_ino)
            if (entry := _held_here(key)) is not None:
                name = secrets.token_hex(4)
                _TABLE[key] = (os.getpid(), entry[0], entry[1] | {name})
                return Lease(path, key, name)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise LeaseRefusedError(f"{path} is gone") from None
        try:
            _verify(fd, path, key)
            if use:
                locks.take_record_lock(fd, locks.USE)
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
    name = secrets.token_hex(4)
    # Cleaners of /tmp that respect locks leave the whole runtime directory alone while it is locked.
    _TABLE[key] = (os.getpid(), (fd, locks.hold_directory(path.parent.parent)), frozenset({name}))
    return Lease(path, key, name)


def release_all() -> None:
    """Release every lease that this process holds. A kernel calls this when it ends."""
    with _TABLE_LOCK:
        for key in list(_TABLE):
            if _held_here(key) is not None:
                _drop(key)


class Look(NamedTuple):
    """The state of a lease file at one moment."""

    state: LeaseState
    #: True if the leash lives. As long as it lives, it locks a byte of the file.
    leash_lives: bool
    #: True if a process uses the instance. Keepers do not count.
    in_use: bool


def look(path: Path) -> Look:
    """Return the state of the lease file at `path`, without taking a lock. It is FREE if there is no such file."""
    with _TABLE_LOCK:  # no thread may take this lease meanwhile: closing the file here would drop the new lock
        try:
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return Look(LeaseState.FREE, leash_lives=False, in_use=False)
        entry = _held_here((found.st_dev, found.st_ino))
        if entry is not None:
            return Look(LeaseState.HELD, _leash_lives(entry[0][0]), in_use=True)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return Look(LeaseState.FREE, leash_lives=False, in_use=False)
        try:
            name = path.parent.name
            return Look(_lease_state(fd, name), _leash_lives(fd), _used(fd, name))
        finally:
            os.close(fd)


def _lease_state(fd: int, directory: str) -> LeaseState:
    found = locks.conflicting_lock(fd, locks.LEASE)
    # A process inside the instance sees the lease file and could lock it. Such a lock must not keep the instance alive.
    if found is None or processes.belongs(found.pid, directory.removeprefix(SWEPT)):
        return LeaseState.FREE
    return LeaseState.HELD if found.kind == fcntl.F_RDLCK else LeaseState.ENDING


def _used(fd: int, directory: str) -> bool:
    found = locks.conflicting_lock(fd, locks.USE)
    return found is not None and not processes.belongs(found.pid, directory.removeprefix(SWEPT))


def _leash_lives(fd: int) -> bool:
    return locks.conflicting_lock(fd, locks.LEASH) is not None
