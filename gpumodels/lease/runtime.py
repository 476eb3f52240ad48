"""The runtime directory: one directory an instance, read by everybody, so that there is no registry to lose.

    /tmp/gpumodels-UID/           0700; another place by the setting `runtime_dir`
        .gate                     creating and joining hold it shared, sweeping exclusively
        .identity                 which runtime directory this is, for labels and names in shared memory
        ctpn-3f9ac1d20b/
            instance.json         never shown to the instance: what a server can write is not believed
            lease                 lock, see `locks`
            ended.json            by whom and when it was stopped on purpose
            kept.json             since when only its keeper holds it
            holders/PID           what the processes are that hold it, for display
            log, log.1            the model server's output, newest and before, where the engine keeps none
            socket/               grpc.sock
        .swept-ctpn-3f9ac1d20b/   claimed by a sweep that has not finished

Shared memory lies in /dev/shm/gpumodels-UID/IDENTITY-INSTANCE/, 0700 likewise.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease import held, locks, places
from gpumodels.lease.record import InstanceRecord, UnknownRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  the kernel's own place for it


@dataclass(frozen=True)
class Ended:
    """How an instance was ended on purpose: `by` completes "stopped ...", `at` is seconds since the epoch."""

    by: str
    at: float

    def __str__(self) -> str:
        return f"stopped from {self.by} at {time.strftime('%H:%M', time.localtime(self.at))}"


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
            places.write_atomically(self.path / "instance.json", record.to_json())
        except OSError as error:
            raise _unwritable(self.path.parent, error) from error

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
                places.write_atomically(self.path / "ended.json", json.dumps({"by": by, "at": time.time()}))

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
            places.write_atomically(self.path / "kept.json", json.dumps({"since": time.time()}))

    def unmark_kept(self) -> None:
        """Others hold it again."""
        with suppress(OSError):
            (self.path / "kept.json").unlink()

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

    @property
    def lease_state(self) -> held.LeaseState:
        return held.state(self.lease_file)

    @property
    def leash_lives(self) -> bool:
        return held.leash_lives(self.lease_file)

    @property
    def in_use(self) -> bool:
        return held.in_use(self.lease_file)

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


class RuntimeDirectory:
    """The place of all instances of one user on one machine; made and checked on construction.

    With `identity` it is the one that was made with that identity, nothing is made or checked, and it may be gone.

    Raises RuntimeDirectoryError if it is somebody else's, open to others, no directory, or on a network filesystem.
    """

    def __init__(self, path: Path, identity: str = "") -> None:
        self.path = path.absolute()
        if identity:
            self.identity = identity
            return
        places.make_private(self.path)
        places.refuse_network_filesystem(self.path)
        self.identity = self._identity()

    def _identity(self) -> str:
        file = self.path / ".identity"
        try:
            with locks.flocked(self.path / ".gate", exclusive=True):
                with suppress(OSError):
                    if re.fullmatch(r"[0-9a-f]{8}", found := file.read_text()):
                        return found
                made = secrets.token_hex(4)
                places.write_atomically(file, made)
                return made
        except OSError as error:
            raise _unwritable(self.path, error) from error

    @property
    def exists(self) -> bool:
        """Whether it still is the directory that it was: somebody may have removed it, or made another in its place."""
        try:
            return (self.path / ".identity").read_text() == self.identity
        except OSError:
            return False

    @contextmanager
    def gate(self, *, exclusive: bool = False) -> Iterator[None]:
        """Creating and joining pass the gate together; a sweep that decides what is stale has it alone."""
        with locks.flocked(self.path / ".gate", exclusive=exclusive):
            yield

    def create(
        self, record: InstanceRecord, owner: tuple[int, int] | None = None
    ) -> tuple[InstanceDirectory, held.Lease]:
        """Make an instance's directory and take its lease, before anything is started.

        `record.id` names the directory; `owner` (uid, gid) is who will run the instance, where that is not the caller.
        """
        directory, lease = InstanceDirectory(self.path / record.id), None
        with self.gate():
            try:
                directory.path.mkdir(mode=0o700)
                lease = held.create(directory.lease_file, record.nonce, owner)
                directory.socket.mkdir(mode=0o700)
                if owner is not None:
                    os.chown(directory.socket, *owner)
                directory.write(record)
            except BaseException as error:
                if lease is not None:
                    lease.release()
                directory.remove()
                if not isinstance(error, OSError):
                    raise
                raise _unwritable(self.path, error) from error
        return directory, lease

    def join(self, instance_id: str, *, use: bool = True) -> tuple[InstanceDirectory, held.Lease]:
        """Hold an instance that runs already, to `use` it or to keep it for others.

        Raises held.LeaseRefusedError where it is ending or gone.
        """
        try:
            directory = self.directory(instance_id)
        except KeyError:
            raise held.LeaseRefusedError(f"{instance_id} is gone") from None
        with self.gate():
            lease = held.join(directory.lease_file, use=use)
            if directory.ended is not None:
                lease.release()
                raise held.LeaseRefusedError(f"{instance_id} is being stopped")
        return directory, lease

    def make_shared_memory(self, instance_id: str, owner: tuple[int, int] | None = None) -> str:
        """Make the instance's directory on /dev/shm; "" where that cannot be (tensors then go inline)."""
        path = self._shared_memory_root / f"{self.identity}-{instance_id}"
        try:
            places.make_private(path.parent)
            path.mkdir(mode=0o700)
            if owner is not None:
                os.chown(path, *owner)
        except (OSError, RuntimeDirectoryError):
            return ""
        return str(path)

    @property
    def _shared_memory_root(self) -> Path:
        return SHARED_MEMORY / f"gpumodels-{os.getuid()}"

    def directory(self, instance_id: str) -> InstanceDirectory:
        """The directory of the instance of that id; raises KeyError where there is none."""
        path = self.path / instance_id
        if not instance_id or "/" in instance_id or instance_id.startswith(".") or not path.is_dir():
            raise KeyError(instance_id)
        return InstanceDirectory(path)

    def instances(self) -> list[InstanceDirectory]:
        """Every instance's directory, oldest name first, held or not."""
        return [InstanceDirectory(self.path / name) for name in self._names() if not name.startswith(".")]

    def _names(self) -> list[str]:
        with os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def claim_stale(self) -> list[InstanceDirectory]:
        """Take what nobody holds out of sight of everybody, and return it for sweeping.

        Alone in the gate, so nothing half-made is met. A claim is a rename: what an earlier sweep claimed and did
        not finish is returned as well.
        """
        with self.gate(exclusive=True):
            for directory in self.instances():
                if _is_stale(directory) and not _of_another_version(directory):
                    directory.claim()
            return [directory for directory in self.claimed() if not _of_another_version(directory)]

    def claimed(self) -> list[InstanceDirectory]:
        """What sweeps claimed and did not finish yet."""
        return [InstanceDirectory(self.path / name) for name in self._names() if name.startswith(held.SWEPT)]

    def sweep_shared_memory(self) -> None:
        """Remove shared memory of instances of this runtime directory that have no directory any more."""
        with self.gate(exclusive=True):
            known = {name.removeprefix(held.SWEPT) for name in self._names()}
            for instance_id, path in self.shared_memory():
                if instance_id not in known:
                    shutil.rmtree(path, ignore_errors=True)

    def shared_memory(self) -> list[tuple[str, Path]]:
        """The directories on /dev/shm that belong to this one, each with the id of its instance."""
        mark = f"{self.identity}-"
        return [(path.name.removeprefix(mark), path) for path in self._shared_memory_root.glob(f"{mark}*")]


def _unwritable(path: Path, error: OSError) -> RuntimeDirectoryError:
    return RuntimeDirectoryError(
        f"The runtime directory {path} cannot take a new instance: {error.strerror}. "
        "Free some space there, or set GPUMODELS_RUNTIME_DIR to another place."
    )


def remove_shared_memory(path: str) -> None:
    """Remove one instance's directory on /dev/shm, if it is one."""
    if path and Path(path).parent.parent == SHARED_MEMORY:
        shutil.rmtree(path, ignore_errors=True)


def _is_stale(directory: InstanceDirectory) -> bool:
    """Whether nobody holds it, and we made it: somebody may have named a place that holds other things too."""
    try:
        names = os.listdir(directory.path)  # noqa: PTH208  names are enough
    except OSError:  # its holder removed it meanwhile
        return False
    return (not names or "lease" in names) and directory.lease_state is not held.LeaseState.HELD


def _of_another_version(directory: InstanceDirectory) -> bool:
    """Whether another gpumodels made it: its own version knows how to sweep it, and we do not."""
    try:
        found = json.loads((directory.path / "instance.json").read_text())
        return isinstance(found, dict) and found.get("version") != InstanceRecord.version
    except (OSError, ValueError):
        return False  # a creation that died half-way: nothing was started yet
