"""Names of files that client and server share in two directories, and functions that open and fill these files.

The other side may put anything into the shared memory directory. So files there are always opened relative to a
descriptor of the directory, never through a link, and only if they are regular files. Sockets are reached through a
descriptor as well, because the path of a Unix socket has at most 107 bytes.
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

#: The socket in the same directory that serves the same methods to clients with a token. The forwarder connects clients
#: from TCP to it.
PEERS_SOCKET_NAME = "peers.sock"

#: Tensors go inside a message if they have at most this many bytes together, otherwise through shared memory.
INLINE_LIMIT = 64 << 10

#: The InferParameters of Triton's extension for shared memory.
REGION, BYTE_SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"

#: The request parameter (true) by which a client asks for tracebacks, and the metadata key of a traceback. Other
#: clients get none, because a channel with gRPC's default limit of 8 KiB for metadata would lose the whole error.
TRACEBACK, TRACEBACK_KEY = "gpumodels_traceback", "gpumodels-traceback-bin"

#: Tensors in a file begin at multiples of this number of bytes, which is enough for any SIMD load.
ALIGNMENT = 64

_CHUNK = 64 << 20  # bytes written at once; an interrupt takes effect between two chunks
_NAME = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_OURS = re.compile(r"in-[0-9a-f]{32}")


class BadFile(OSError):
    """The error for a file name from the other side that is not allowed, or for a file that is not safe to open."""


def new_name() -> str:
    """Return a new name for an input region."""
    return f"in-{secrets.token_hex(16)}"


def is_ours(name: str) -> bool:
    """Return True if gpumodels made the file of that name: it has the form that `new_name` makes."""
    return _OURS.fullmatch(name) is not None


class Descriptor:
    """A file descriptor that is closed with its last reference.

    A client may be closed while other threads still call. If the descriptor were closed at once, its number could
    already belong to another file when those threads use it.
    """

    _close = staticmethod(os.close)  # while the interpreter ends, the module `os` may be empty already

    def __init__(self, fd: int) -> None:
        self.fd = fd
        #: A path to the file. It is valid while this object lives, also after the file was renamed or replaced.
        self.path = f"/proc/self/fd/{fd}"

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def open_directory(path: Path) -> int:
    """Return a descriptor of the directory, for use as `dir_fd`, in `socket_path` and `open_socket`."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def socket_path(directory: int, name: str) -> str:
    """Return a short path at which a server binds its socket, through a descriptor of the directory."""
    return f"/proc/self/fd/{directory}/{name}"


def open_socket(directory: int, name: str) -> int:
    """Return a descriptor of the server's socket.

    Do not follow links: the server can write to the directory, and a link could lead to any other socket of the user.
    Raises BadFile if the file is not a socket, or belongs to neither this user nor the directory's owner. Raises
    OSError if there is no file.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    found = os.fstat(fd)
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in {os.geteuid(), os.fstat(directory).st_uid}:
        os.close(fd)
        raise BadFile(f"{name} is not a socket of the model server")
    return fd


def create(directory: int, name: str, size: int) -> int:
    """Make a file of `size` allocated bytes that only its owner may use, and return its descriptor.

    The file gets the owner of the directory: the server in a container may run as that user, while we run as root.
    Raises OSError (ENOSPC) if there is no room. If the bytes were not allocated, a later access could cause SIGBUS.
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
    """Open a regular file by a name from the other side; `flags` are those of `os.open`.

    Raises BadFile, or OSError if there is no file.
    """
    if _NAME.fullmatch(name) is None:
        raise BadFile(f"{name!r} is no name of a shared memory file")
    # Non-blocking, because opening a FIFO could block before it is recognised as one.
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
    """Return aligned offsets for blocks of these sizes, one after another, and the size of all blocks together."""
    found, end = [], 0
    for size in sizes:
        found.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return found, end
