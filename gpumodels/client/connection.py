"""`Connection`: one connection to the lane of a model server, with the shared memory of its calls."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from gpumodels.errors import CallError
from gpumodels.protocol import MESSAGE_LIMIT, add_header, files, frames, messages, point, region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.client.shared import SharedArrays
    from gpumodels.protocol import Region, ServerSocket, Tensor

_MOST_REGISTERED = frames.MOST_REGIONS - 1  # regions of the user's arrays; one more belongs to the connection


class Connection:
    """A connection to the lane, and the shared memory regions of its calls.

    One thread at a time uses the connection; any thread may call `cut`. `request` copies inputs into a region of the
    connection, which is kept for the next call. Inputs in arrays of `Client.empty` are not copied. The caller may
    change copied inputs as soon as `request` returns. The server sends its results in a region of its own.
    """

    def __init__(self, server: ServerSocket) -> None:
        """Connect. Raises BlockingIOError while the server's queue of new connections is full, and OSError."""
        self._socket = connected = server.connect()
        self._frames = frames.Frames(connected)
        self._pid = os.getpid()
        self._own = region.Own("in")
        self._result: Region | None = None
        self._registered: dict[str, int] = {}  # sizes of regions of `shared` that the server maps, last used last
        self.last_used = 0.0
        self.ended = False

    @property
    def memory(self) -> int:
        """The size in bytes of the regions that are kept for the next call."""
        return sum(len(each) for each in (self._own.region, self._result) if each is not None)

    @property
    def held(self) -> int:
        """The bytes that this connection keeps in memory: `memory`, and arrays of `Client.empty` that the server maps.

        Until the next request on this connection, the server also maps arrays that the user has deleted.
        """
        return self.memory + sum(self._registered.values())

    def send(self, kind: int, body: bytes, deadline: float | None = None, fd: int = -1) -> None:
        """Send one frame, and with it the descriptor `fd` of a region; -1 for none.

        `kind` is a constant of `protocol.frames`. Raises BrokenPipeError and ConnectionResetError if the server has
        closed the connection, and TimeoutError past `deadline`, which is in time.monotonic() seconds.
        """
        data = memoryview(frames.header(len(body), kind, fd >= 0) + body)
        while data:
            self._wait_until(deadline)
            data = data[self._frames.send(data, () if fd < 0 else (fd,)) :]
            fd = -1

    def request(self, request: Any, inputs: list[Tensor], shared: SharedArrays, deadline: float | None) -> None:
        """Send `request`, a ModelInferRequest, with the inputs, of which those in `shared` are not copied.

        Raises CallError if there is no memory for the copies, and the errors of `send`.
        """
        del request.inputs[:], request.raw_input_contents[:]
        for name in [name for name in self._registered if name not in shared]:
            self._unregister(name, deadline)
        to_copy = []
        for tensor in inputs:
            header = add_header(request.inputs, tensor)
            if (found := shared.find(tensor.data)) is None:
                to_copy.append((header, tensor))
                continue
            memory, offset = found
            self._register(memory, deadline)
            point(header, memory.name, tensor.nbytes, offset)
        offsets, size = files.offsets(tensor.nbytes for _, tensor in to_copy)
        own = self._input_region(size, deadline)
        if own is not None:
            for (header, tensor), offset in zip(to_copy, offsets, strict=True):
                region.part(own, offset, tensor.nbytes)[:] = tensor.data
                point(header, own.name, tensor.nbytes, offset)
        elif size > MESSAGE_LIMIT:
            raise CallError(
                f"the inputs of {request.model_name} are {size / 2**30:.1f} GiB, this machine has no shared memory "
                "for them and a message holds 2 GiB at most: send less at once"
            )
        else:
            request.raw_input_contents.extend(bytes(tensor.data) for _, tensor in to_copy)
        self.send(frames.INFER, request.SerializeToString(), deadline)

    def answer(self, deadline: float | None) -> frames.Frame:
        """Return the next frame of the answer. Handle frames about the server's region that come before it.

        Raises EOFError or ConnectionResetError if the server has closed the connection, TimeoutError past `deadline`,
        and CallError if the data cannot be read.
        """
        while True:
            try:
                if (frame := self._frames.next()) is None:
                    self._wait_until(deadline)
                    self._frames.fill()
                elif frame.kind == frames.REGION:
                    self._result = region.adopt(frame.fd)
                    self._result.name = messages.SystemSharedMemoryRegisterRequest.FromString(frame.body).name
                elif frame.kind == frames.FORGET:
                    self._result = None
                else:
                    return frame
            except (ValueError, DecodeError) as error:
                raise CallError(f"the model server sent data that cannot be read: {error}") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def unsolicited(self) -> Iterator[frames.Frame]:
        """Read the socket once, which may block, and yield the frames that are complete.

        They answer no request. Raises EOFError, OSError, FrameError.
        """
        self._frames.fill()
        while (frame := self._frames.next()) is not None:
            yield frame

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return `size` bytes at `offset` of the region `name`, in which the server sent results.

        Raises RegionError if they lie outside of the region, or if the server has sent no such region.
        """
        if self._result is None or self._result.name != name:
            raise region.RegionError(f"the server has sent no region {name!r}")
        return region.part(self._result, offset, size)

    def cut(self) -> None:
        """Shut the connection down, also while another thread waits on it. A forked child keeps the parent's open."""
        self.ended = True
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Only the thread that uses it may call this."""
        self.cut()
        self._frames.close()

    def _wait_until(self, deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        if left is not None or self._socket.gettimeout() is not None:
            self._socket.settimeout(left)

    def _register(self, memory: Region, deadline: float | None) -> None:
        if self._registered.pop(memory.name, None) is None:
            if len(self._registered) >= _MOST_REGISTERED:
                self._unregister(next(iter(self._registered)), deadline)
            self._send_region(memory, deadline)
        self._registered[memory.name] = len(memory)

    def _input_region(self, size: int, deadline: float | None) -> Region | None:
        """Return a region for `size` bytes of inputs, or None if they go inside the message."""
        if outgrown := self._own.outgrown(size):
            self._unregister(outgrown, deadline)
        if size <= files.INLINE_LIMIT:
            return None
        if self._own.region is None and (memory := self._own.make(size)) is not None:
            self._send_region(memory, deadline)
        return self._own.region

    def _send_region(self, memory: Region, deadline: float | None) -> None:
        message = messages.SystemSharedMemoryRegisterRequest(name=memory.name, byte_size=len(memory))
        self.send(frames.REGION, message.SerializeToString(), deadline, memory.fd)

    def _unregister(self, name: str, deadline: float | None) -> None:
        message = messages.SystemSharedMemoryUnregisterRequest(name=name)
        self.send(frames.FORGET, message.SerializeToString(), deadline)
        self._registered.pop(name, None)
