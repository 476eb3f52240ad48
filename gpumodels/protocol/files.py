"""What client and server agree on in the two shared directories: names, and how files there are opened and filled.

Files in the shared memory directory are always opened relative to a descriptor of it, never through a link, and only if
they are regular: the other side may have put anything there. Sockets are reached through a descriptor as well,
since the path of a Unix socket ends at 107 bytes.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SOCKET_NAME = "grpc.sock"

#: Where the same methods are served, beside that, to whoever has the token: what comes over TCP is led here.
PEERS_SOCKET_NAME = "peers.sock"

#: Up to so many bytes of tensors in total travel inside the message; more goes through shared memory.
INLINE_LIMIT = 64 << 10

#: The InferParameters of Triton's extension.
REGION, BYTE_SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"

#: The request parameter (true) that asks for remote tracebacks, and the metadata key that brings one. Asked for,
#: since a channel with gRPC's own limit of 8 KiB for metadata would lose the whole error.
TRACEBACK, TRACEBACK_KEY = "gpumodels_traceback", "gpumodels-traceback-bin"

#: Where tensors begin inside a file: enough for any SIMD load.
ALIGNMENT = 64

_CHUNK = 64 << 20  # bytes moved at once: between two chunks an interrupt is seen
_NAME = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_OURS = re.compile(r"in-[0-9a-f]{32}")


class BadFile(OSError):
    """A name or file that the other side gave is not one to open."""


def new_name() -> str:
    """A fresh name for an input region."""
    return f"in-{secrets.token_hex(16)}"


def is_ours(name: str) -> bool:
    """Is `name` one that `new_name` makes?"""
    return _OURS.fullmatch(name) is not None


class Descriptor:
    """A file descriptor that is closed with its last reference.

    A client may be closed while calls of other threads end. If the number were closed under them, it might stand for
    another file by then.
    """

    _close = staticmethod(os.close)  # when the interpreter ends, the module may be empty already

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def open_directory(path: Path) -> int:
    """A descriptor that stands for the directory, for use as `dir_fd`, in `socket_path` and `open_socket`."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def socket_path(directory: int, name: str) -> str:
    """Where a server binds its socket, through a descriptor of the directory: short, however long the real one is."""
    return f"{descriptor_path(directory)}/{name}"


def open_socket(directory: int, name: str) -> int:
    """A descriptor that stands for the server's socket, for use in `descriptor_path`.

    What a server can write is not believed: with a link in its place we would talk to any other socket of the user.
    Raises BadFile where it is no socket, or neither ours nor the directory's owner's; OSError where there is none.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    found = os.fstat(fd)
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in {os.geteuid(), os.fstat(directory).st_uid}:
        os.close(fd)
        raise BadFile(f"{name} is not a socket of the model server")
    return fd


def descriptor_path(descriptor: int) -> str:
    """A path to what the descriptor stands for, whatever lies by now where it was opened."""
    return f"/proc/self/fd/{descriptor}"


def create(directory: int, name: str, size: int) -> int:
    """Make a file of `size` bytes that are really there and only its owner may use; gives its descriptor.

    Raises OSError (ENOSPC) where there is no room: a sparse file would be a SIGBUS later. Belongs to the
    directory's owner, since a server in a container may run as that user while we are root.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory)
    try:
        owner = os.fstat(directory)
        if owner.st_uid != os.geteuid():
            os.fchown(fd, owner.st_uid, owner.st_gid)
        if size:
            os.posix_fallocate(fd, 0, size)
    except BaseException:
        os.close(fd)
        os.unlink(name, dir_fd=directory)
        raise
    return fd


def open_existing(directory: int, name: str, flags: int) -> int:
    """Open a regular file by a name from the other side; raises BadFile, or OSError where there is none."""
    if _NAME.fullmatch(name) is None:
        raise BadFile(f"{name!r} is no name of a shared memory file")
    # Non-blocking, so that a FIFO put there cannot hold us up before we see that it is one.
    fd = os.open(name.lstrip("/"), flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadFile(f"{name!r} is not a regular file")
    return fd


def write(fd: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`."""
    while data:
        written = os.pwrite(fd, data[:_CHUNK], offset)
        data, offset = data[written:], offset + written


def offsets(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Aligned places for blocks of these sizes one after another, and the size of all."""
    places, end = [], 0
    for size in sizes:
        places.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return places, end
