"""Regions: memory that client and model server both map, handed over by its descriptor.

A region is a memfd, sealed so that nobody can make it smaller: neither side can end the other with SIGBUS. It
has no name, so nothing of it is left when both are gone, however they went, and no limit of /dev/shm applies.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_BLOCK = 512  # bytes; the unit of st_blocks, whatever the filesystem
_STEP, _BIG_STEP = 64 << 10, 1 << 20  # sizes are rounded up to these, so that regions fit again


_TOO_LARGE, _OFTEN = 4, 8  # a region so many times larger than what is sent, so often in a row, is let go
_SMALL = 64 << 20  # bytes; one that is no larger waits for idle seconds, as a new one takes longer than a call


class RegionError(ValueError):
    """A region cannot be used, or somebody speaks of bytes outside of it."""


class Region(mmap.mmap):
    """A mapped region of `len(region)` bytes; the memory lives as long as somebody, here or there, maps it."""

    #: What both sides call it on one connection.
    name: str = ""
    #: Where it lies in this process, for those who look arrays up by that.
    address: int = 0
    #: The descriptor to hand over; -1 where the region came from the other side.
    fd: int = -1

    _close = staticmethod(os.close)  # at the interpreter's end the module may be empty already

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def create(name: str, size: int) -> Region:
    """A new region of at least `size` bytes; raises OSError where there is no memory for it."""
    step = _STEP if size <= _BIG_STEP else _BIG_STEP
    size = -(-max(size, 1) // step) * step
    fd = os.memfd_create("gpumodels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        region = Region(fd, size)
    except BaseException:
        os.close(fd)
        raise
    region.name, region.fd = name, fd
    return region


def adopt(fd: int) -> Region:
    """Map a region of the other side's, which the caller names; the descriptor is closed.

    Raises RegionError unless it is sealed, whole (a file without its blocks would take memory of ours that the other
    side never had) and of ordinary pages (of huge ones there may be none left when they are touched: SIGBUS),
    MemoryError, and OSError where this process has too many files open.
    """
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise RegionError("a region must be a memfd that is sealed against shrinking")
        if os.fstatvfs(fd).f_bsize != mmap.PAGESIZE:
            raise RegionError("a region must be of ordinary pages")
        if not 0 < found.st_size <= found.st_blocks * _BLOCK:
            raise RegionError("a region must have all its memory")
        return Region(fd, found.st_size)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        if error.errno == errno.EMFILE:
            raise
        raise RegionError(f"a region cannot be mapped: {error.strerror or error}") from error
    finally:
        os.close(fd)


def part(region: mmap.mmap, offset: int, size: int) -> memoryview:
    """The bytes of a region, writable; raises RegionError where they lie outside."""
    if offset < 0 or size < 0 or offset + size > len(region):
        raise RegionError(f"{size} bytes at {offset} lie outside of a region of {len(region)}")
    return memoryview(region)[offset : offset + size]


class Own:
    """The region that one side of a connection keeps for what it sends, used again and again."""

    def __init__(self, name: str) -> None:
        self.region: Region | None = None
        self._name = name
        self._made = 0
        self._oversized = 0

    def outgrown(self, size: int) -> str:
        """Let go of a region that is too small for `size` bytes, or was much too large for several calls: its name."""
        memory = self.region
        if memory is None:
            return ""
        self._oversized = self._oversized + 1 if len(memory) > max(_SMALL, _TOO_LARGE * size) else 0
        if len(memory) >= size and self._oversized < _OFTEN:
            return ""
        self.region, self._oversized = None, 0
        return memory.name

    def make(self, size: int) -> Region | None:
        """A new region of at least `size` bytes in place of none; None where there is no memory for it."""
        self._made += 1
        try:
            self.region = create(f"{self._name}-{self._made}", size)
        except OSError:
            return None
        return self.region
