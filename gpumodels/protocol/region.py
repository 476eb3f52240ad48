"""Regions: memory that client and model server both map. One side makes a region and sends its descriptor.

A region is a memfd that is sealed against shrinking, so neither side can end the other with SIGBUS. It has no path, so
nothing of it is left when both processes have ended, even if they were killed. The limit of /dev/shm does not apply.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_BLOCK = 512  # bytes; the unit of st_blocks on every filesystem
_STEP, _BIG_STEP = 64 << 10, 1 << 20  # sizes are rounded up to these, so that regions fit later calls too


_TOO_LARGE, _OFTEN = 4, 8  # a region is freed if it was 4 times too large in 8 calls in a row
_SMALL = (
    64 << 20
)  # bytes; smaller regions are kept until the connection is idle, as making one takes longer than a call


class RegionError(ValueError):
    """The error for a region that cannot be used, or a range of bytes outside of a region."""


class Region(mmap.mmap):
    """A mapped region of `len(region)` bytes. The memory lives as long as a process maps it."""

    #: The name of the region on one connection, for both sides.
    name: str = ""
    #: The address of the region in this process, by which arrays in it are found.
    address: int = 0
    #: The descriptor to send to the other side; -1 if the region came from there.
    fd: int = -1

    _close = staticmethod(os.close)  # while the interpreter ends, the module `os` may be empty already

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def create(name: str, size: int) -> Region:
    """Return a new region of at least `size` bytes. Raises OSError if there is no memory for it."""
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
    """Map a region of the other side and close the descriptor. The caller sets the region's name.

    Raises RegionError if the region is not sealed, is sparse, or has huge pages. A sparse file would take memory here
    that the other side never had. The system may have no huge page left when one is first touched, and SIGBUS ends the
    process. Raises MemoryError, and OSError if this process has too many open files.
    """
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise RegionError("a region must be a memfd that is sealed against shrinking")
        if os.fstatvfs(fd).f_bsize != mmap.PAGESIZE:
            raise RegionError("a region must be of ordinary pages")
        if not 0 < found.st_size <= found.st_blocks * _BLOCK:
            raise RegionError("a region must have all its memory allocated")
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
    """Return a writable view of `size` bytes at `offset` of a region. Raises RegionError if they lie outside of it."""
    if offset < 0 or size < 0 or offset + size > len(region):
        raise RegionError(f"{size} bytes at {offset} lie outside of a region of {len(region)}")
    return memoryview(region)[offset : offset + size]


class Own:
    """The region in which one side of a connection sends tensors. The region is kept from call to call."""

    def __init__(self, name: str) -> None:
        self.region: Region | None = None
        self._name = name
        self._made = 0
        self._oversized = 0

    def outgrown(self, size: int) -> str:
        """Free the region if it is too small for `size` bytes, or if it was much too large in 8 calls in a row.

        Use this before each call. Return the name of the freed region, or "" if none was freed.
        """
        memory = self.region
        if memory is None:
            return ""
        self._oversized = self._oversized + 1 if len(memory) > max(_SMALL, _TOO_LARGE * size) else 0
        if len(memory) >= size and self._oversized < _OFTEN:
            return ""
        self.region, self._oversized = None, 0
        return memory.name

    def make(self, size: int) -> Region | None:
        """Make the region, of at least `size` bytes, and return it, or None if there is no memory for it."""
        self._made += 1
        try:
            self.region = create(f"{self._name}-{self._made}", size)
        except OSError:
            return None
        return self.region
