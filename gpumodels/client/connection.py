"""`Connection`: one connection of the lane, with the memory of its calls."""

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
    """A connection of the lane and the regions of its calls. One thread at a time uses it; any thread may call `cut`.

    `request` copies inputs into a region of the connection, which is kept for the next call. Inputs in shared arrays
    are not copied. The caller may change copied inputs as soon as `request` returns. The server sends its results in a
    region of its own.
    """

    def __init__(self, server: ServerSocket) -> None:
        """Connect. Raises BlockingIOError while the server has too many connections to accept, and OSError."""
        self._socket = connected = server.connect()
        self._frames = frames.Frames(connected)
        self._pid = os.getpid()
        self._own = region.Own("in")
        self._result: Region | None = None
        self._registered: dict[str, int] = {}  # sizes of shared arrays' regions that the server maps, last used last
        self.last_used = 0.0
        self.ended = False

    @property
    def memory(self) -> int:
        """The bytes of the regions that are kept for the next call."""
        return sum(len(each) for each in (self._own.region, self._result) if each is not None)

    @property
    def held(self) -> int:
        """The bytes that the connection keeps in memory: `memory`, and shared arrays that the server maps.

        The server still maps arrays that the user has deleted.
        """
        return self.memory + sum(self._registered.values())

    def send(self, kind: int, body: bytes, deadline: float | None = None, fd: int = -1) -> None:
        """Send one frame. Raises BrokenPipeError, ConnectionResetError, and TimeoutError past the deadline."""
        data = memoryview(frames.header(len(body), kind, fd >= 0) + body)
        while data:
            self._wait_until(deadline)
            data = data[self._frames.send(data, () if fd < 0 else (fd,)) :]
            fd = -1

    def request(self, request: Any, inputs: list[Tensor], shared: SharedArrays, deadline: float | None) -> None:
        """Send a ModelInferRequest with its inputs. Raises CallError if there is no memory for them."""
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

        Raises EOFError, ConnectionResetError, TimeoutError, CallError.
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
        """Read once, which may block, and yield the frames that came. Raises EOFError, OSError, FrameError."""
        self._frames.fill()
        while (frame := self._frames.next()) is not None:
            yield frame

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return bytes of the server's region. Raises RegionError if they lie outside or the region is unknown."""
        if self._result is None or self._result.name != name:
            raise region.RegionError(f"the server has sent no region {name!r}")
        return region.part(self._result, offset, size)

    def cut(self) -> None:
        """Shut the connection down, also while another thread waits on it. A forked child leaves its parent's open."""
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
