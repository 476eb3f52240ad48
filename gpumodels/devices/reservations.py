"""What loads under way are about to take, told to all users of this machine.

A load takes its memory seconds or minutes after its device was chosen. Until then each user's file
`/dev/shm/gpumodels-UID.reserved` says which devices are spoken for, and by how much, and no names. What another user
says there is believed as far as nobody can lose by it: it moves the choice of "auto" to other devices where there are
any, and refuses no load.

Whoever chooses holds a lock on the directory /dev/shm itself (flock(2)), which every user can open and nobody owns. It
is waited for a second at most: who stops while he holds it can make others slow, and does not hold them up.
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

#: Where all users of the machine meet: a place of the system's, in which nobody can touch another's files.
PLACE = Path("/dev/shm")  # noqa: S108

_PATIENCE = 1.0  # seconds to wait for others
#: Seconds in which somebody else may take the lock: this user's own loads, which queue elsewhere, would be quicker.
_COURTESY = 0.01
_NAME = re.compile(r"gpumodels-(\d{1,10})\.reserved")
_LARGEST = 64 << 10  # bytes of a file
_MOST_FILES = 1000
_LONGEST = 86400.0  # seconds that a reservation may stand


class Reservation(msgspec.Struct, frozen=True):
    """A load that is about to take `memory` bytes on each of `devices` (UUIDs); 0 where it is not known how much."""

    #: Tells it from others; it says nothing of the model.
    token: Annotated[str, Meta(max_length=64)]
    devices: Annotated[tuple[Annotated[str, Meta(max_length=128)], ...], Meta(max_length=64)]
    memory: Annotated[int, Meta(ge=0, le=1 << 50)]
    #: The process that loads, and when it started, in clock ticks since boot.
    pid: Annotated[int, Meta(ge=1, le=1 << 30)]
    started: Annotated[int, Meta(ge=0, le=1 << 60)]
    #: When it is over at the latest, by time.monotonic(), which all processes of a machine share.
    until: float

    @classmethod
    def of_this_process(cls, token: str, devices: Sequence[str], memory: int, seconds: float) -> Reservation:
        pid = os.getpid()
        until = time.monotonic() + min(seconds, _LONGEST)
        return cls(token, tuple(devices), memory, pid, processes.start_time(pid), until)

    @property
    def stands(self) -> bool:
        """Whether its time has not passed and the process that loads lives."""
        return time.monotonic() < self.until and _lives(self.pid, self.started)


_FILE = msgspec.json.Decoder(Annotated[list[Reservation], Meta(max_length=256)])


@contextmanager
def in_turn() -> Iterator[None]:
    """Choose and reserve while no other user does, if those let us in within a second."""
    place = _place()
    if place is None:
        yield
    else:
        with flocked_briefly(place, _PATIENCE):
            yield
        time.sleep(_COURTESY)


def standing() -> list[Reservation]:
    """Those of all users, our own too, that can be believed."""
    place = _place()
    if place is None:
        return []
    try:
        named = [(each, found) for each in os.listdir(place) if (found := _NAME.fullmatch(each))]  # noqa: PTH208
    except OSError:  # which is no reason to refuse a load
        return []
    return [each for name, found in named[:_MOST_FILES] for each in _said(place / name, int(found[1]))]


def reserve(reservation: Reservation) -> None:
    """Tell everybody; silent where that cannot be, for it is a courtesy."""
    _rewrite(lambda known: [*known, reservation])


def release(token: str) -> None:
    """The load has its memory, or has ended."""
    _rewrite(lambda known: [each for each in known if each.token != token])


def sweep() -> None:
    """Remove what loads of this user left that were killed."""
    if (place := _place()) is not None and (place / f"gpumodels-{os.getuid()}.reserved").exists():
        _rewrite(lambda known: known)


def _place() -> Path | None:
    """`PLACE`, where it is the system's (or this user's own, in a container) and keeps users from each other's files.

    Files in a place of somebody else's could vanish or be replaced at his will. Who is alone needs no reservations.
    """
    try:
        found = PLACE.stat()
    except OSError:
        return None
    ours = found.st_uid in (0, os.getuid())
    shared = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX and os.access(PLACE, os.R_OK | os.X_OK)
    return PLACE if ours and shared else None


def _said(path: Path, uid: int) -> list[Reservation]:
    """What a user says in his file; nothing where it is not his, not plainly a small file, or not to be understood."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != uid or found.st_size > _LARGEST:
                return []
            said = _FILE.decode(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return []
    return [each for each in said if each.stands]


def _lives(pid: int, started: int) -> bool:
    if processes.same_process(pid, started):
        return True
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # it is there, and /proc is mounted so that others' processes are not seen
        return True
    except OSError:
        return False
    return False


def _rewrite(change: Callable[[list[Reservation]], list[Reservation]]) -> None:
    place, uid = _place(), os.getuid()
    if place is None:
        return
    file, private = place / f"gpumodels-{uid}.reserved", place / f"gpumodels-{uid}"
    with suppress(OSError, RuntimeDirectoryError):
        make_private(private)
        with flocked_briefly(private, _PATIENCE):
            left = change(_said(file, uid))
            if left:
                _replace(file, msgspec.json.encode(left))
            else:
                file.unlink(missing_ok=True)


def _replace(file: Path, content: bytes) -> None:
    """In a place where others may make files: nothing that is there already is opened."""
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
