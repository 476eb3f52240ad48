"""Shared memory of gRPC clients. They register regions of files in the shared memory directory."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import reprlib
import threading
from dataclasses import dataclass
from pathlib import Path

from gpumodels.protocol import RegionError, files

_NO_DIRECTORY = -1  # as `dir_fd` it makes every open fail with EBADF


@dataclass(frozen=True)
class Region:
    """A registered part of the shared memory file `key`."""

    key: str
    offset: int
    byte_size: int
    memory: mmap.mmap
    fd: int


class SharedMemory:
    """The regions that gRPC clients registered, by name. Any thread may use this object."""

    def __init__(self, path: str, peers: str = "") -> None:
        """Open the directories.

        Parameters
        ----------
        path : str
            The directory of files of this user's clients; "" for none: tensors are then sent inside messages.
        peers : str
            The directory of files of clients that use a token (`--serve`); "" if the server does not see it.

        """
        self._directory = files.open_directory(Path(path)) if path else _NO_DIRECTORY
        self._peers = files.open_directory(Path(peers)) if peers else _NO_DIRECTORY
        self._regions: dict[str, Region] = {}
        self._lock = threading.Lock()

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Map `byte_size` bytes at `offset` of the file `key`, as the region `name`.

        Raises RegionError if the file does not exist or is too short, or if there is a region of that name.
        """
        self._drop_orphans()
        fd = self._open(key)
        region = None
        with self._lock:
            if name not in self._regions and 0 < offset + byte_size <= os.fstat(fd).st_size:
                region = Region(key, offset, byte_size, mmap.mmap(fd, offset + byte_size), fd)
                self._regions[name] = region
        if region is None:
            os.close(fd)
            raise RegionError(f"{name!r} is registered, or {key!r} does not hold {byte_size} bytes at {offset}")

    def _open(self, key: str) -> int:
        """Open the file `key` of this user's clients, or else of the clients with a token. Raises RegionError."""
        try:
            try:
                return files.open_existing(self._directory, key, os.O_RDWR)
            except OSError:
                if self._peers == _NO_DIRECTORY:
                    raise
            return files.open_existing(self._peers, key, os.O_RDWR)
        except PermissionError as error:
            raise RegionError(
                f"cannot open shared memory {key!r}: {error.strerror} for the model server, which runs as uid "
                f"{os.geteuid()}; the file's owner can allow it with `chmod o+rw`"
            ) from error
        except OSError as error:
            raise RegionError(f"cannot open shared memory {key!r}: {error.strerror or error}") from error

    def unregister(self, name: str) -> None:
        """Forget the region of that name, or all regions for "". A running call keeps its mapping until it ends."""
        with self._lock:
            for known in [name] if name else list(self._regions):
                self._forget(known)

    def status(self, name: str) -> dict[str, Region]:
        """Return the region of that name, or all regions for ""."""
        with self._lock:
            return {known: region for known, region in self._regions.items() if name in {"", known}}

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return writable bytes of a registered region. Raises RegionError if there are no such bytes."""
        with self._lock:
            region = self._regions.get(name)
        if region is None:
            raise RegionError(f"no shared memory region {reprlib.repr(name)} is registered")
        if offset < 0 or size < 0 or offset + size > region.byte_size:
            raise RegionError(f"{size} bytes at {offset} lie outside of the shared memory region {reprlib.repr(name)}")
        return memoryview(region.memory)[region.offset + offset : region.offset + offset + size]

    def _drop_orphans(self) -> None:
        """Free regions of our own clients that have ended. Such a client has a flock on its files while it lives."""
        with self._lock:  # for the whole loop: another thread could close a descriptor, and its number be used again
            for name, region in list(self._regions.items()):
                if not files.is_ours(region.key):
                    continue
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(region.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._forget(name)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(region.key, dir_fd=self._directory)

    def _forget(self, name: str) -> None:
        """Remove a region; the caller holds the lock."""
        region = self._regions.pop(name, None)
        if region is not None:
            os.close(region.fd)
