"""One instance's files, see `runtime` for what they are."""

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
    """How an instance was ended on purpose: `by` completes "stopped ...", `at` is seconds since the epoch."""

    by: str
    at: float

    def __str__(self) -> str:
        return f"stopped from {self.by} at {clock(self.at)}"


class InstanceDirectory:
    """One instance's files. Making the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name.removeprefix(held.SWEPT)
        self.lease_file = path / "lease"
        self.log = path / "log"
        self.socket = path / "socket"

    def __repr__(self) -> str:
        return f"InstanceDirectory({str(self.path)!r})"

    def record(self) -> InstanceRecord:
        """What instance.json says; raises UnknownRecordError if it is missing, broken or of another version."""
        try:
            return InstanceRecord.from_json((self.path / "instance.json").read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise UnknownRecordError(str(error)) from None

    def write(self, record: InstanceRecord) -> None:
        """Replace instance.json at once and whole; raises RuntimeDirectoryError where the disk does not let it."""
        try:
            private_files.write_atomically(self.path / "instance.json", record.to_json())
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    @property
    def ended(self) -> Ended | None:
        """By whom and when the instance was stopped on purpose, or None."""
        try:
            return Ended(**json.loads((self.path / "ended.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def mark_ended(self, by: str) -> None:
        """Say, before stopping it, who stops the instance; the first to say so is believed."""
        with suppress(OSError):  # the word is a courtesy: the stop itself must not fail on a full disk
            if self.ended is None:
                private_files.write_atomically(self.path / "ended.json", json.dumps({"by": by, "at": time.time()}))

    def mark_ended_unless_used(self, by: str, lease: held.Lease) -> bool:
        """The same, where nobody but this process uses the instance; whether it was said.

        Alone in the gate, so that nobody joins what is about to be stopped.
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
        """Take the word back: the stop failed, and the instance runs on."""
        with suppress(OSError):
            (self.path / "ended.json").unlink()

    @property
    def kept_since(self) -> float | None:
        """Since when only its keeper holds the instance, in seconds since the epoch; None where others do."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.path / "kept.json").read_text())["since"])
        return None

    def mark_kept(self) -> None:
        """Say that from now on only its keeper holds it."""
        with suppress(OSError):
            private_files.write_atomically(self.path / "kept.json", json.dumps({"since": time.time()}))

    def unmark_kept(self) -> None:
        """Others hold it again."""
        with suppress(OSError):
            (self.path / "kept.json").unlink()

    @property
    def over_since(self) -> float | None:
        """Since when it holds more GPU memory than its limit, in seconds since the epoch; None where it does not."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return float(json.loads((self.path / "over.json").read_text())["since"])
        return None

    def mark_over(self, since: float) -> None:
        """Say that it does."""
        with suppress(OSError):
            private_files.write_atomically(self.path / "over.json", json.dumps({"since": since}))

    def unmark_over(self) -> None:
        """It keeps to its limit again."""
        with suppress(OSError):
            (self.path / "over.json").unlink()

    def was_held_by(self, pid: int) -> bool:
        """Whether that process loaded the instance or came to share it."""
        with suppress(UnknownRecordError):
            return self.record().owner.pid == pid or (self.path / "holders" / str(pid)).exists()
        return False

    def keep_log(self, text: str) -> None:
        """Keep what an engine that has no `log` file of ours would forget with the instance."""
        with suppress(OSError):
            if not self.log.exists():
                self.log.write_text(text)

    def kept_log(self) -> str:
        with suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def look(self) -> held.Look:
        """Look at the lease, once for everything that it tells."""
        return held.look(self.lease_file)

    @property
    def lease_state(self) -> held.LeaseState:
        """The state of the lease."""
        return self.look().state

    @property
    def leash_lives(self) -> bool:
        """Whether the leash of the instance lives."""
        return self.look().leash_lives

    def remove(self) -> None:
        """Remove the directory and all in it; silent about what is gone already."""
        shutil.rmtree(self.claim().path, ignore_errors=True)

    def claim(self) -> InstanceDirectory:
        """Put it out of sight for removal, noting when; what is left of it is swept, however its remover dies."""
        if self.path.name.startswith(held.SWEPT):
            return self
        claimed = self.path.with_name(f"{held.SWEPT}{self.id}")
        with suppress(OSError):
            os.utime(self.path)
            self.path.rename(claimed)
        return InstanceDirectory(claimed)

    def claim_unless_held(self) -> InstanceDirectory | None:
        """Claim it where nobody holds it any more; alone in the gate, so that nobody joins meanwhile."""
        try:
            with locks.flocked(self.path.parent / ".gate", exclusive=True):
                return None if self.lease_state is held.LeaseState.HELD else self.claim()
        except OSError:  # the runtime directory has vanished
            return self.claim()

    def claimed_for(self) -> float:
        """Seconds since it was claimed; 0.0 if it is gone."""
        with suppress(OSError):
            return abs(time.time() - self.path.stat().st_mtime)
        return 0.0


def unwritable(path: Path, error: OSError) -> RuntimeDirectoryError:
    """What a runtime directory is told of that cannot be written to."""
    return RuntimeDirectoryError(
        f"The runtime directory {path} cannot take a new instance: {error.strerror}. "
        "Free some space there, or set GPUMODELS_RUNTIME_DIR to another place."
    )
