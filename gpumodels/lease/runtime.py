"""The runtime directory: one directory an instance, read by everybody, so that there is no registry to lose.

    /tmp/gpumodels-UID/           0700; another place by the setting `runtime_dir`
        .gate                     creating and joining hold it shared, sweeping exclusively
        .identity                 which runtime directory this is, for labels and names in shared memory
        .engine-NAME              an engine that ran instances here, to be asked by sweeps
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

#: The beginning of the files that name the engines which ran instances here.
_ENGINE = ".engine-"
_IDENTITY = re.compile(r"[0-9a-f]{8}")


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
                    if _IDENTITY.fullmatch(found := file.read_text()):  # another process was first
                        return found
                made = secrets.token_hex(4)
                private_files.write_atomically(file, made)
                return made
        except OSError as error:
            raise unwritable(self.path, error) from error

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
        """Note an engine before its first start, so that every sweep asks it."""
        (self.path / f"{_ENGINE}{quote(name, safe='')}").touch(0o600)

    def engines(self) -> list[str]:
        """Return the names of the engines that ever ran instances of this runtime directory, sorted."""
        with suppress(OSError):
            names = os.listdir(self.path)  # noqa: PTH208  names are enough
            return sorted(unquote(name.removeprefix(_ENGINE)) for name in names if name.startswith(_ENGINE))
        return []

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
        if not self.shared_memory():
            return
        with self.gate(exclusive=True):
            known = {name.removeprefix(held.SWEPT) for name in self._names()}
            for instance_id, path in self.shared_memory():
                if instance_id not in known:
                    shutil.rmtree(path, ignore_errors=True)

    def shared_memory(self) -> list[tuple[str, Path]]:
        """The directories on /dev/shm that belong to this one, each with the id of its instance."""
        mark = f"{self.identity}-"
        return [(path.name.removeprefix(mark), path) for path in self._shared_memory_root.glob(f"{mark}*")]


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
