"""The leases this process holds. No other module may open a lease file.

A process that closes *any* descriptor of a file loses its record locks on that file, so a lease that is held must never
be opened a second time: not to probe it, not to copy it. The table lies on `sys`, in plain tuples, so that reloading
this package (or `%autoreload`) loses neither the descriptors nor the knowledge of them.
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

#: Before the name of an instance's directory that a sweep has claimed.
SWEPT = ".swept-"

_Key = tuple[int, int]  # device and inode of the lease file

#: What is held: pid, descriptors (the lease file's first), names of the holds; by lease file.
_TABLE: dict[_Key, tuple[int, tuple[int, ...], frozenset[str]]] = sys.__dict__.setdefault("_gpumodels_leases", {})
_TABLE_LOCK: threading.RLock = sys.__dict__.setdefault("_gpumodels_leases_lock", threading.RLock())

# A forked child must not inherit the lock from a thread that it has not.
os.register_at_fork(before=_TABLE_LOCK.acquire, after_in_parent=_TABLE_LOCK.release, after_in_child=_TABLE_LOCK.release)


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
    name: str

    @property
    def held(self) -> bool:
        entry = _held_here(self.key)
        return entry is not None and self.name in entry[1]

    @property
    def leash_lives(self) -> bool:
        """Whether the instance runs, told by the held descriptor: also where its directory has vanished."""
        with _TABLE_LOCK:
            entry = _held_here(self.key)
            return entry is not None and _leash_lives(entry[0][0])

    @property
    def others_use(self) -> bool:
        """Whether somebody else holds it as well, and does not only keep it for others."""
        with _TABLE_LOCK:
            entry = _held_here(self.key)
            if entry is None:
                return False
            descriptors, names = entry
            return bool(names - {self.name}) or _used(descriptors[0], self.path.parent.name)

    def release(self) -> None:
        """Let go; with the last hold in this process the lock goes too. A forked child holds, and drops, nothing."""
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
    """Descriptors and names of this process's holds; what a forked child inherited is its parent's."""
    entry = _TABLE.get(key)
    return entry[1:] if entry is not None and entry[0] == os.getpid() else None


def _drop(key: _Key) -> None:
    for descriptor in _TABLE.pop(key)[1]:
        os.close(descriptor)


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
            locks.take_record_lock(fd, locks.USE)
            return _enter(path, fd)
        except BaseException:
            os.close(fd)
            raise


def join(path: Path, *, use: bool = True) -> Lease:
    """Hold an instance that already runs, to `use` it or to keep it for others.

    The caller holds the gate; raises LeaseRefusedError, never waits. The leash may be about to wake: the lock must be
    granted at once, on the file that `path` still names, with the leash alive.
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
    # A cleaner of /tmp that respects locks skips the whole runtime directory.
    _TABLE[key] = (os.getpid(), (fd, locks.hold_directory(path.parent.parent)), frozenset({name}))
    return Lease(path, key, name)


def release_all() -> None:
    """Let go of every lease that this process holds, at once: what a kernel does as it ends."""
    with _TABLE_LOCK:
        for key in list(_TABLE):
            if _held_here(key) is not None:
                _drop(key)


class Look(NamedTuple):
    """One look at a lease file, which takes no lock."""

    state: LeaseState
    #: Whether a leash holds its byte.
    leash_lives: bool
    #: Whether a process uses the instance and does not only keep it for others.
    in_use: bool


def look(path: Path) -> Look:
    """Look at the lease file at `path`. It is FREE if there is no such file."""
    with _TABLE_LOCK:  # nobody may come to hold what is being probed: closing the probe would drop the new lock
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
    # What runs inside an instance sees its lease and could hold it: that keeps nothing alive.
    if found is None or processes.belongs(found.pid, directory.removeprefix(SWEPT)):
        return LeaseState.FREE
    return LeaseState.HELD if found.kind == fcntl.F_RDLCK else LeaseState.ENDING


def _used(fd: int, directory: str) -> bool:
    found = locks.conflicting_lock(fd, locks.USE)
    return found is not None and not processes.belongs(found.pid, directory.removeprefix(SWEPT))


def _leash_lives(fd: int) -> bool:
    return locks.conflicting_lock(fd, locks.LEASH) is not None
