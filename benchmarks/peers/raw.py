"""The fastest possible call on this machine, with Python on both sides and without a protocol.

The bytes are copied into shared memory, a byte on a Unix socket notifies the server, and the server sends a float back.
Like the models, the server reads only the first element.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_FLOAT = struct.Struct("f")


@contextlib.contextmanager
def ping(size: int) -> Iterator[Callable[[NDArray[np.uint8]], float]]:
    """Start a server, and yield a function that calls it with an array of up to `size` bytes."""
    fd = os.memfd_create("benchmark")
    os.posix_fallocate(fd, 0, size)
    ours, theirs = socket.socketpair()
    fds = (fd, theirs.fileno())
    server = subprocess.Popen([sys.executable, __file__, *map(str, fds)], pass_fds=fds, start_new_session=True)
    theirs.close()
    room = np.frombuffer(mmap.mmap(fd, size), np.uint8)
    os.close(fd)

    def call(array: NDArray[np.uint8]) -> float:
        np.copyto(room[: array.size], array.reshape(-1))
        ours.send(b"x")
        return float(_FLOAT.unpack(ours.recv(_FLOAT.size))[0])

    try:
        yield call
    finally:
        ours.close()  # this ends the server
        server.wait()


def _serve(fd: int, connection: int) -> None:
    with socket.socket(fileno=connection) as peer, mmap.mmap(fd, 0) as memory:
        while peer.recv(1):
            peer.send(_FLOAT.pack(memory[0]))


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
