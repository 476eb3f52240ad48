"""Reservations: the memory that loads in flight are about to take, published to all users of this machine.

A load takes its memory seconds or minutes after its devices were chosen. Until then the user's file
`/dev/shm/gpumodels-UID.reserved` lists the devices and the bytes, but no names of models. Other users may publish false
reservations. So these only move the choice of "auto" to other devices, if there are any, and refuse no load.

A process that chooses devices holds a lock on the directory /dev/shm itself (flock(2)), which every user can open.
Other processes wait for the lock for a second at most. So a process that is paused while it holds the lock makes others
slow, but cannot block them.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease import flocked_briefly, make_private, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: A directory that all users of the machine share. It belongs to the system, and no user can change another's files.
PLACE = Path("/dev/shm")  # noqa: S108

_PATIENCE = 1.0  # seconds to wait for the lock
#: Seconds to wait after a turn, so that another user can take the lock before this user's next load takes it.
_PAUSE = 0.01
_NAME = re.compile(r"gpumodels-(\d{1,10})\.reserved")
_LARGEST = 64 << 10  # bytes of a file
_MOST_FILES = 1000
_LONGEST = 86400.0  # seconds that a reservation may last


class Reservation(msgspec.Struct, frozen=True):
    """A load that is about to take `memory` bytes on each of `devices` (UUIDs); 0 if the amount is not known."""

    #: The name of the reservation, which does not show the model.
    token: Annotated[str, Meta(max_length=64)]
    devices: Annotated[tuple[Annotated[str, Meta(max_length=128)], ...], Meta(max_length=64)]
    memory: Annotated[int, Meta(ge=0, le=1 << 50)]
    #: The process that loads, and its start in clock ticks since boot.
    pid: Annotated[int, Meta(ge=1, le=1 << 30)]
    started: Annotated[int, Meta(ge=0, le=1 << 60)]
    #: The latest end of the reservation, by time.monotonic(), which is the same in all processes of a machine.
    until: float

    @classmethod
    def of_this_process(cls, token: str, devices: Sequence[str], memory: int, seconds: float) -> Reservation:
        pid = os.getpid()
        until = time.monotonic() + min(seconds, _LONGEST)
        return cls(token, tuple(devices), memory, pid, processes.start_time(pid), until)

    @property
    def stands(self) -> bool:
        """True if the reservation's time has not passed and the process that loads is alive."""
        return time.monotonic() < self.until and _lives(self.pid, self.started)


_FILE = msgspec.json.Decoder(Annotated[list[Reservation], Meta(max_length=256)])


@contextmanager
def in_turn() -> Iterator[None]:
    """Hold the lock of all users while devices are chosen and reserved. Wait a second at most, then run without it."""
    directory = _directory()
    if directory is None:
        yield
    else:
        with flocked_briefly(directory, _PATIENCE):
            yield
        time.sleep(_PAUSE)


def standing() -> list[Reservation]:
    """Return the valid reservations of all users, this one included."""
    directory = _directory()
    if directory is None:
        return []
    try:
        named = [(each, found) for each in os.listdir(directory) if (found := _NAME.fullmatch(each))]  # noqa: PTH208
    except OSError:  # an unreadable directory must not fail a load
        return []
    return [each for name, found in named[:_MOST_FILES] for each in _read(directory / name, int(found[1]))]


def reserve(reservation: Reservation) -> None:
    """Publish a reservation. Ignore errors, because a load does not need a reservation."""
    _rewrite(lambda known: [*known, reservation])


def release(token: str) -> None:
    """Remove a reservation: the load has its memory, or has ended."""
    _rewrite(lambda known: [each for each in known if each.token != token])


def sweep() -> None:
    """Remove the reservations of this user's loads that were killed."""
    if (directory := _directory()) is not None and (directory / f"gpumodels-{os.getuid()}.reserved").exists():
        _rewrite(lambda known: known)


def _directory() -> Path | None:
    """Return `PLACE` if it belongs to the system and protects users' files from each other, else None.

    In a container it may belong to this user. Any other owner could remove or replace the files in it. A user who is
    alone on the machine needs no reservations.
    """
    try:
        found = PLACE.stat()
    except OSError:
        return None
    ours = found.st_uid in (0, os.getuid())
    shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and os.access(PLACE, os.R_OK | os.X_OK)
    return PLACE if ours and shared else None


def _read(path: Path, uid: int) -> list[Reservation]:
    """Return the valid reservations in a user's file.

    Return [] if the file belongs to another user, is not a regular file, is too large, or is broken.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != uid or found.st_size > _LARGEST:
                return []
            reservations = _FILE.decode(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return []
    return [each for each in reservations if each.stands]


def _lives(pid: int, started: int) -> bool:
    if processes.same_process(pid, started):
        return True
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # the process lives, but /proc is mounted so that it hides other users' processes
        return True
    except OSError:
        return False
    return False


def _rewrite(change: Callable[[list[Reservation]], list[Reservation]]) -> None:
    directory, uid = _directory(), os.getuid()
    if directory is None:
        return
    file, private = directory / f"gpumodels-{uid}.reserved", directory / f"gpumodels-{uid}"
    with suppress(OSError, RuntimeDirectoryError):
        make_private(private)
        with flocked_briefly(private, _PATIENCE):
            left = change(_read(file, uid))
            if left:
                _replace(file, msgspec.json.encode(left))
            else:
                file.unlink(missing_ok=True)


def _replace(file: Path, content: bytes) -> None:
    """Replace the file without opening any existing one: other users can make files in the same directory."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as opened:  # noqa: PTH123
            opened.write(content)
            os.fchmod(fd, 0o644)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
