"""Input regions: files in the instance's shared memory that calls write their inputs into, used again and again.

Written with pwrite and never mapped: a server that truncates a file must not end the notebook with SIGBUS. A region is
lent to one call at a time; one whose call did not end well may still be read by the server and is never lent again.
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

_STEP = 1 << 20  # sizes are rounded up to this, so that regions fit again
_KEEP = 256 << 20  # bytes of unused regions that are kept
_CONTROL_TIMEOUT = 10.0  # seconds for register and unregister, which wait for nothing


@dataclass(frozen=True)
class Region:
    """A registered file of `size` bytes."""

    name: str
    fd: int
    size: int


class Regions:
    """The pool; safe to use from many threads."""

    def __init__(self, directory: Descriptor, stub: SimpleNamespace) -> None:
        self._directory = directory
        self._stub = stub
        self._free: list[Region] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lend(self, size: int, timeout: float | None = None) -> Iterator[Region | None]:
        """A region of at least `size` bytes for one call; None where there is no room or the server takes none.

        Leaving the block by an exception discards the region. Raises TimeoutError where the server does not answer
        within the `timeout` of the call, in seconds.
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
        """Remove the free files, and those in use when their calls end.

        The server is not told: it ends as well, or drops them when it sees them orphaned.
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
            # Held while we live: the server frees the regions of clients that died.
            fcntl.flock(region.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            request = messages.SystemSharedMemoryRegisterRequest(name=name, key=name, byte_size=size)
            self._stub.SystemSharedMemoryRegister(request, timeout=min(timeout or _CONTROL_TIMEOUT, _CONTROL_TIMEOUT))
        except grpc.RpcError as error:
            self._remove(region)
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if late and timeout is not None and timeout <= _CONTROL_TIMEOUT:
                raise TimeoutError from None
            return None  # a server without the extension or sight of our files
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
        with contextlib.suppress(ValueError):  # the channel is closed: the server will see an orphan
            # Not waited for: it follows a call that was stopped, and the stop must be quick.
            self._stub.SystemSharedMemoryUnregister.future(request, timeout=_CONTROL_TIMEOUT)

    def _remove(self, region: Region) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(region.name, dir_fd=self._directory.fd)
        os.close(region.fd)
