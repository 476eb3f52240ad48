"""Input regions for calls by gRPC: files in the instance's shared memory that hold the inputs of one call at a time.

The client writes them with pwrite and never maps them. A server could truncate a mapped file, and SIGBUS would end the
notebook's process. Later calls use a region again, except after a failed call, because the server may still read it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from gpumodels.protocol import files, messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

    from gpumodels.protocol import Descriptor

_STEP = 1 << 20  # sizes are rounded up to a multiple of this, so that regions fit later calls too
_KEEP = 256 << 20  # bytes of unused regions that are kept
_CONTROL_TIMEOUT = 10.0  # seconds that a server has to register or unregister a region, which is quick


@dataclass(frozen=True)
class Region:
    """A file of `size` bytes that is registered with the model server."""

    name: str
    fd: int
    size: int


class Regions:
    """The input regions of one channel, in use or free for later calls. Safe to use from threads."""

    def __init__(self, directory: Descriptor, stub: SimpleNamespace) -> None:
        self._directory = directory
        self._stub = stub
        self._free: list[Region] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lend(self, size: int, timeout: float | None = None) -> Iterator[Region | None]:
        """Lend a call a region of at least `size` bytes until the `with` block ends.

        The region is None if the directory has no room, or if the server accepts no regions. An exception in the block
        discards the region. Raises TimeoutError if the server does not register it within the call's `timeout`, in
        seconds.
        """
        region = self._take(size) or self._make(-(-size // _STEP) * _STEP, timeout)
        if region is None:
            yield None
            return
        try:
            yield region
        except BaseException:
            self._discard(region)
            raise
        self._give(region)

    def close(self) -> None:
        """Remove the free files now, and those in use when their calls end.

        The server is not notified. It unmaps the files when it ends, or when any client registers a region: it then
        notices that nobody locks these files any more.
        """
        with self._lock:
            free, self._free = self._free, []
            self._closed = True
        for region in free:
            self._remove(region)

    def _take(self, size: int) -> Region | None:
        with self._lock:
            fitting = [region for region in self._free if region.size >= size]
            region = min(fitting, key=lambda region: region.size, default=None)
            if region is not None:
                self._free.remove(region)
            return region

    def _give(self, region: Region) -> None:
        with self._lock:
            keep = not self._closed and sum(free.size for free in self._free) + region.size <= _KEEP
            if keep:
                self._free.append(region)
        if not keep:
            self._discard(region)

    def _make(self, size: int, timeout: float | None) -> Region | None:
        name = files.new_name()
        try:
            region = Region(name, files.create(self._directory.fd, name, size), size)
        except OSError:  # no room, or the directory is gone
            return None
        try:
            # The lock lasts until this process closes the file or ends. The server frees regions that nobody locks.
            fcntl.flock(region.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            request = messages.SystemSharedMemoryRegisterRequest(name=name, key=name, byte_size=size)
            self._stub.SystemSharedMemoryRegister(request, timeout=min(timeout or _CONTROL_TIMEOUT, _CONTROL_TIMEOUT))
        except grpc.RpcError as error:
            self._remove(region)
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if late and timeout is not None and timeout <= _CONTROL_TIMEOUT:
                raise TimeoutError from None
            return None  # a server without the extension, or one that does not see our files
        except ValueError:  # a closed channel
            self._remove(region)
            return None
        except BaseException:
            self._discard(region)
            raise
        return region

    def _discard(self, region: Region) -> None:
        self._remove(region)
        request = messages.SystemSharedMemoryUnregisterRequest(name=region.name)
        with contextlib.suppress(ValueError):  # the channel is closed: the server will find that nobody locks the file
            # Do not wait for the answer, because this is part of stopping a call, which must be quick.
            self._stub.SystemSharedMemoryUnregister.future(request, timeout=_CONTROL_TIMEOUT)

    def _remove(self, region: Region) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(region.name, dir_fd=self._directory.fd)
        os.close(region.fd)
