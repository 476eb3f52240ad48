"""The frames of the lane: messages of the protocol, one after another, on a connected Unix stream socket.

The lane is the faster way to our own model server, beside gRPC and with the same messages. A frame is a header of 8
bytes (the length of the body, the kind, the number of descriptors that come with it) and a body, a serialized message.
One call at a time runs on a connection; shutting the connection down cancels the call. A length in a header never
decides how much memory is allocated: the buffer grows with the bytes that came.
"""

from __future__ import annotations

import array
import collections
import contextlib
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SOCKET_NAME = "lane.sock"

#: Kinds from the client: METADATA, a ModelMetadataRequest; INFER, a ModelInferRequest. Kinds from both sides, which get
#: no answer: REGION, a SystemSharedMemoryRegisterRequest with the region's descriptor; FORGET, a
#: SystemSharedMemoryUnregisterRequest.
METADATA, INFER, REGION, FORGET = 1, 2, 3, 4

#: Kinds from the server: ANSWER, the only answer; PART, one of several answers; END, the end of several answers, with
#: an empty body; FAILED, the parameters `code`, `message` and `traceback` of a ModelInferResponse.
ANSWER, PART, END, FAILED = 17, 18, 19, 20

#: Kinds about sleep, all with empty bodies. A holder of the instance sends WATCH to become a watcher. SLEEP asks the
#: server to end itself as soon as no call runs; STAY withdraws that request. Before the server ends, for that reason or
#: after its idle time, it sends ABOUT_TO_SLEEP to its watchers. The watchers measure the memory that the server holds
#: and answer with WATCH; a call that comes meanwhile keeps the server awake. ASLEEP is the server's last frame, sent
#: while no call runs: a call that was not answered by then had not begun.
WATCH, SLEEP, STAY, ABOUT_TO_SLEEP, ASLEEP = 5, 6, 7, 21, 22

#: The `errno` of an OSError if this process, or the whole system, has too many open files.
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})

#: The most regions of a client that the server maps for one connection. Each takes a file descriptor.
MOST_REGIONS = 64

_KINDS = frozenset(
    {METADATA, INFER, REGION, FORGET, WATCH, SLEEP, STAY, ANSWER, PART, END, FAILED, ABOUT_TO_SLEEP, ASLEEP}
)
_HEADER = struct.Struct("<IBBxx")
#: Return the header of a frame, by the length of its body in bytes, its kind and its number of descriptors.
header = _HEADER.pack
_LONGEST = (1 << 31) - 1  # bytes of a body, the limit of protobuf
_CHUNK, _BIG_CHUNK = 128 << 10, 4 << 20  # bytes read at once
_MOST_DESCRIPTORS = 4  # in one read
_ROOM = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)


class FrameError(ValueError):
    """The error for bytes or descriptors that are not a frame of the lane."""


class Frame(NamedTuple):
    """One frame. The receiver must close the descriptor `fd`; -1 stands for none."""

    kind: int
    body: bytes
    fd: int


class Frames:
    """The frames on a connected socket. The socket's timeout decides whether reading and writing block."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._data: bytes | bytearray = b""
        self._at = 0
        self._wanted = 0
        self._fds: collections.deque[int] = collections.deque()

    def send(self, data: bytes | memoryview, fds: Sequence[int] = ()) -> int:
        """Write once, as much of `data` as the socket accepts, and return the number of bytes.

        The descriptors are sent with the first byte.
        """
        if not fds:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        return self.socket.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    def next(self) -> Frame | None:
        """Return the next frame of the bytes that were read already; None if it is not complete. Raises FrameError."""
        have = len(self._data) - self._at
        if have < _HEADER.size:
            return None
        length, kind, descriptors = _HEADER.unpack_from(self._data, self._at)
        if kind not in _KINDS or length > _LONGEST or descriptors != (kind == REGION):
            raise FrameError(f"no frame begins with {bytes(self._data[self._at : self._at + _HEADER.size])!r}")
        end = self._at + _HEADER.size + length
        if len(self._data) < end:
            self._wanted = end - len(self._data)
            return None
        if descriptors > len(self._fds):
            raise FrameError("a frame came without its descriptor")
        body = bytes(self._data[self._at + _HEADER.size : end])
        self._at = end
        if len(self._fds) > descriptors and end == len(self._data):
            raise FrameError("a descriptor came that no frame announced")
        fd = self._fds.popleft() if descriptors else -1
        if end == len(self._data):
            self._data, self._at, self._wanted = b"", 0, 0
        return Frame(kind, body, fd)

    def fill(self) -> None:
        """Read the socket once, for `next`. Raises EOFError at its end, FrameError, and errors of the socket.

        Raises OSError (EMFILE) also if a descriptor was lost because this process has too many open files.
        """
        chunk = _CHUNK if self._wanted <= _CHUNK else _BIG_CHUNK
        data, ancillary, flags, _ = self.socket.recvmsg(chunk, _ROOM, socket.MSG_CMSG_CLOEXEC)
        for level, what, content in ancillary:
            if level == socket.SOL_SOCKET and what == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(content[: len(content) - len(content) % received.itemsize])
                self._fds.extend(received)
        if not data:
            raise EOFError
        if len(self._fds) > _MOST_DESCRIPTORS or (flags & socket.MSG_CTRUNC and len(self._fds) == _MOST_DESCRIPTORS):
            raise FrameError("more descriptors came than frames announced")
        if flags & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if not self._data:
            self._data, self._at = data, 0
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data[self._at :])
        else:
            del self._data[: self._at]  # the frames that were returned; a bytearray does not move the rest for this
        self._data += data
        self._at = 0

    def close(self) -> None:
        """Close the socket, and the descriptors of frames that were not returned."""
        self.socket.close()
        while self._fds:
            with contextlib.suppress(OSError):
                os.close(self._fds.popleft())
        self._data, self._at = b"", 0
