"""The runtime directory: one directory for each instance, read by all processes. There is no registry.

    /tmp/gpumodels-UID/           0700; the setting `runtime_dir` moves it
        .gate                     a lock: shared to create or join an instance, exclusive to sweep
        .identity                 a random id of this runtime directory, for labels and names in shared memory
        .engine-NAME              an engine that ran instances here; each sweep runs its clean-up
        .events                   see `events`
        .KIND-NAME.json           see `notes`
        ctpn-3f9ac1d20b/
            instance.json         see `record`; hidden from the model server, so that it cannot forge it
            lease                 the file with the locks, see `locks`
            ended.json            who stopped the instance on purpose, and when
            kept.json             since when only the keeper holds the instance
            over.json             since when the instance exceeds its memory limit
            holders/PID           the notebook or program of each process that holds the instance, for display
            log, log.1            the model server's output, newest and older, unless the engine keeps it
            socket/               the sockets of the model server
        .swept-ctpn-3f9ac1d20b/   claimed by a sweep that has not finished
            told                  an empty file; it exists once the end of the instance is logged

Shared memory lies in /dev/shm/gpumodels-UID/IDENTITY-INSTANCE/, also 0700.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from gpumodels.errors import RuntimeDirectoryError
from gpumodels.lease import held, locks, private_files
from gpumodels.lease.directory import InstanceDirectory, unwritable
from gpumodels.lease.record import InstanceRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  the kernel's own place for it

#: The beginning of the names of the files for the engines that ran instances here.
_ENGINE = ".engine-"
_IDENTITY = re.compile(r"[0-9a-f]{8}")


class RuntimeDirectory:
    """The directory of all instances of one user on one machine. It is made and checked on construction.

    With `identity` the object stands for the directory that was made with that identity. Nothing is made or checked
    then, and the directory may be gone.

    Raises RuntimeDirectoryError if `path` is another user's, open to others, no directory, or on a network filesystem.
    """

    def __init__(self, path: Path, identity: str = "") -> None:
        self.path = path.absolute()
        if identity:
            self.identity = identity
            return
        private_files.make_private(self.path)
        private_files.refuse_network_filesystem(self.path)
        self.identity = self._identity()

    def _identity(self) -> str:
        file = self.path / ".identity"
        with suppress(OSError):
            if _IDENTITY.fullmatch(found := file.read_text()):
                return found
        try:
            with locks.flocked(self.path / ".gate", exclusive=True):
                with suppress(OSError):
                    if _IDENTITY.fullmatch(found := file.read_text()):  # another process has written it already
                        return found
                made = secrets.token_hex(4)
                private_files.write_atomically(file, made)
                return made
        except OSError as error:
            raise unwritable(self.path, error) from error

    @property
    def exists(self) -> bool:
        """True if the directory was neither removed nor made again with another identity."""
        try:
            return (self.path / ".identity").read_text() == self.identity
        except OSError:
            return False

    @contextmanager
    def gate(self, *, exclusive: bool = False) -> Iterator[None]:
        """Hold the gate, a lock: shared to create or join an instance, exclusive to find what nobody holds."""
        with locks.flocked(self.path / ".gate", exclusive=exclusive):
            yield

    def create(
        self, record: InstanceRecord, owner: tuple[int, int] | None = None
    ) -> tuple[InstanceDirectory, held.Lease]:
        """Make an instance's directory and take its lease, before anything is started.

        `record.id` names the directory. `owner` is the uid and gid that will run the instance, if not the caller's.
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
                self.note_engine(record.engine)
            except BaseException as error:
                if lease is not None:
                    lease.release()
                directory.remove()
                if not isinstance(error, OSError):
                    raise
                raise unwritable(self.path, error) from error
        return directory, lease

    def note_engine(self, name: str) -> None:
        """Record an engine before it starts its first instance here, so that every sweep runs its clean-up."""
        (self.path / f"{_ENGINE}{quote(name, safe='')}").touch(0o600)

    def engines(self) -> list[str]:
        """Return the names of the engines that ever ran instances of this runtime directory, sorted."""
        with suppress(OSError):
            names = os.listdir(self.path)  # noqa: PTH208  names are enough
            return sorted(unquote(name.removeprefix(_ENGINE)) for name in names if name.startswith(_ENGINE))
        return []

    def join(self, instance_id: str, *, use: bool = True) -> tuple[InstanceDirectory, held.Lease]:
        """Take a lease on an instance that already runs, to `use` it or to keep it for others.

        Raises held.LeaseRefusedError if the instance is ending or gone.
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
        """Make the instance's directory on /dev/shm and return its path. `owner` is as for `create`.

        Return "" on failure. Tensors are sent inside messages then.
        """
        path = self._shared_memory_root / f"{self.identity}-{instance_id}"
        try:
            private_files.make_private(path.parent)
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
        """Return the directory of the instance with that id. Raises KeyError if there is none."""
        path = self.path / instance_id
        if not instance_id or "/" in instance_id or instance_id.startswith(".") or not path.is_dir():
            raise KeyError(instance_id)
        return InstanceDirectory(path)

    def instances(self) -> list[InstanceDirectory]:
        """Return the directories of all instances, held or not, sorted by name."""
        return [InstanceDirectory(self.path / name) for name in self._names() if not name.startswith(".")]

    def _names(self) -> list[str]:
        with os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def claim_stale(self) -> list[InstanceDirectory]:
        """Claim the directories of instances that no process holds, and return all claimed directories for sweeping.

        To claim is to rename; see `InstanceDirectory.claim`. The gate is held exclusively meanwhile, so that no
        half-made instance is claimed. Directories that an earlier sweep claimed and did not remove are returned too,
        but none of another version.
        """
        with self.gate(exclusive=True):
            for directory in self.instances():
                if _is_stale(directory) and not _of_another_version(directory):
                    directory.claim()
            return [directory for directory in self.claimed() if not _of_another_version(directory)]

    def claimed(self) -> list[InstanceDirectory]:
        """Return the directories that sweeps have claimed and not yet removed."""
        return [InstanceDirectory(self.path / name) for name in self._names() if name.startswith(held.SWEPT)]

    def sweep_shared_memory(self) -> None:
        """Remove the shared memory of instances that have no directory here any more."""
        if not self.shared_memory():
            return
        with self.gate(exclusive=True):
            known = {name.removeprefix(held.SWEPT) for name in self._names()}
            for instance_id, path in self.shared_memory():
                if instance_id not in known:
                    shutil.rmtree(path, ignore_errors=True)

    def shared_memory(self) -> list[tuple[str, Path]]:
        """Return the id of each instance with a directory on /dev/shm, and that directory."""
        prefix = f"{self.identity}-"
        return [(path.name.removeprefix(prefix), path) for path in self._shared_memory_root.glob(f"{prefix}*")]


def remove_shared_memory(path: str) -> None:
    """Remove one instance's directory on /dev/shm. Do nothing if `path` is not such a directory."""
    if path and Path(path).parent.parent == SHARED_MEMORY:
        shutil.rmtree(path, ignore_errors=True)


def _is_stale(directory: InstanceDirectory) -> bool:
    """Return True if the directory of an instance can be removed: gpumodels made it, and no process holds its lease.

    Other directories are kept. A user can choose any directory as the runtime directory, so it may contain them.
    """
    try:
        names = os.listdir(directory.path)  # noqa: PTH208  names are enough
    except OSError:  # its holder removed the directory meanwhile
        return False
    return (not names or "lease" in names) and directory.lease_state is not held.LeaseState.HELD


def _of_another_version(directory: InstanceDirectory) -> bool:
    """Return True if another version of gpumodels made the directory. Only that version can sweep it."""
    try:
        found = json.loads((directory.path / "instance.json").read_text())
        return isinstance(found, dict) and found.get("version") != InstanceRecord.version
    except (OSError, ValueError):
        return False  # its creation was cut off: nothing was started yet
