"""The directory of one instance, its files and its removal. The docstring of `lease.runtime` lists the files."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease import held, locks, private_files
from gpumodels.lease.record import InstanceRecord, UnknownRecordError
from gpumodels.presentation import clock

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """The stop of an instance: `by` completes "stopped from ...", `at` is in seconds since the epoch."""

    by: str
    at: float

    def __str__(self) -> str:
        return f"stopped from {self.by} at {clock(self.at)}"


class InstanceDirectory:
    """The directory of one instance. Making the object does not touch the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name.removeprefix(held.SWEPT)
        self.lease_file = path / "lease"
        self.log = path / "log"
        self.socket = path / "socket"

    def __repr__(self) -> str:
        return f"InstanceDirectory({str(self.path)!r})"

    def record(self) -> InstanceRecord:
        """Read instance.json. Raises UnknownRecordError if it is missing, broken or of another version."""
        try:
            return InstanceRecord.from_json((self.path / "instance.json").read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise UnknownRecordError(str(error)) from None

    def write(self, record: InstanceRecord) -> None:
        """Replace instance.json atomically. Raises RuntimeDirectoryError if the disk cannot take it."""
        try:
            private_files.write_atomically(self.path / "instance.json", record.to_json())
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    @property
    def ended(self) -> Ended | None:
        """The stop of the instance; None if it was not stopped on purpose."""
        try:
            return Ended(**json.loads((self.path / "ended.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def mark_ended(self, by: str) -> None:
        """Record who stops the instance; call this before the stop. `by` is as in `Ended`. An earlier record stays."""
        with suppress(OSError):  # a full disk must not prevent the stop
            if self.ended is None:
                private_files.write_atomically(self.path / "ended.json", json.dumps({"by": by, "at": time.time()}))

    def mark_ended_unless_used(self, by: str, lease: held.Lease) -> bool:
        """Call `mark_ended` and return True, or return False if another process uses the instance.

        `lease` is the caller's own lease on the instance. The gate is held exclusively meanwhile, so that no process
        joins an instance that is about to be stopped.
        """
        try:
            with locks.flocked(self.path.parent / ".gate", exclusive=True):
                if lease.others_use:
                    return False
                self.mark_ended(by)
        except OSError:  # the runtime directory has vanished
            return not lease.others_use
        return True

    def unmark_ended(self) -> None:
        """Remove the record of a stop that failed: the instance runs on."""
        with suppress(OSError):
            (self.path / "ended.json").unlink()

    @property
    def kept_since(self) -> float | None:
        """The moment since which only the keeper holds the instance, in seconds since the epoch, or None."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.path / "kept.json").read_text())["since"])
        return None

    def mark_kept(self) -> None:
        """Record that only the keeper holds the instance from now on."""
        with suppress(OSError):
            private_files.write_atomically(self.path / "kept.json", json.dumps({"since": time.time()}))

    def unmark_kept(self) -> None:
        """Record that other processes hold the instance again."""
        with suppress(OSError):
            (self.path / "kept.json").unlink()

    @property
    def over_since(self) -> float | None:
        """The moment since which the instance exceeds its memory limit, in seconds since the epoch, or None."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.path / "over.json").read_text())["since"])
        return None

    def mark_over(self, since: float) -> None:
        """Record the moment since which the instance exceeds its memory limit, in seconds since the epoch."""
        with suppress(OSError):
            private_files.write_atomically(self.path / "over.json", json.dumps({"since": since}))

    def unmark_over(self) -> None:
        """Record that the instance is within its memory limit again."""
        with suppress(OSError):
            (self.path / "over.json").unlink()

    def was_held_by(self, pid: int) -> bool:
        """Return True if the process `pid` loaded the instance, or joined it later."""
        with suppress(UnknownRecordError):
            return self.record().owner.pid == pid or (self.path / "holders" / str(pid)).exists()
        return False

    def keep_log(self, text: str) -> None:
        """Save the log of an instance that is about to be removed, unless its engine wrote that file already."""
        with suppress(OSError):
            if not self.log.exists():
                self.log.write_text(text)

    def kept_log(self) -> str:
        with suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def look(self) -> held.Look:
        """Return the state of the lease, of the leash and of the use, all at one moment."""
        return held.look(self.lease_file)

    @property
    def lease_state(self) -> held.LeaseState:
        """The state of the lease."""
        return self.look().state

    @property
    def leash_lives(self) -> bool:
        """True if the leash of the instance lives."""
        return self.look().leash_lives

    def remove(self) -> None:
        """Remove the directory with all its files. Ignore files that are gone already."""
        shutil.rmtree(self.claim().path, ignore_errors=True)

    def claim(self) -> InstanceDirectory:
        """Claim the directory: rename it for removal, so that no reader lists it, and return it under its new name.

        Its modification time becomes the time of the claim. If this process dies before the removal is complete, the
        next sweep finishes it.
        """
        if self.path.name.startswith(held.SWEPT):
            return self
        claimed = self.path.with_name(f"{held.SWEPT}{self.id}")
        with suppress(OSError):
            os.utime(self.path)
            self.path.rename(claimed)
        return InstanceDirectory(claimed)

    def claim_unless_held(self) -> InstanceDirectory | None:
        """Claim the directory as `claim` does, or return None if a process holds the instance.

        The gate is held exclusively meanwhile, so that no process joins the instance.
        """
        try:
            with locks.flocked(self.path.parent / ".gate", exclusive=True):
                return None if self.lease_state is held.LeaseState.HELD else self.claim()
        except OSError:  # the runtime directory has vanished
            return self.claim()

    def claimed_for(self) -> float:
        """Return the seconds since `claim` renamed the directory; 0.0 if the directory is gone."""
        with suppress(OSError):
            return abs(time.time() - self.path.stat().st_mtime)
        return 0.0


def unwritable(path: Path, error: OSError) -> RuntimeDirectoryError:
    """Return the error to raise if the runtime directory `path` cannot be written to."""
    return RuntimeDirectoryError(
        f"The runtime directory {path} cannot take a new instance: {error.strerror}. "
        "Free some space there, or set GPUMODELS_RUNTIME_DIR to another directory."
    )
