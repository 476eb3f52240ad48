"""`Line`: one connection of the lane and the memory that goes with it."""

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

    from gpumodels.client.shared import Shared
    from gpumodels.protocol import Region, ServerSocket, Tensor

_MOST_KNOWN = frames.MOST_REGIONS - 1  # regions of the caller's beside our own


class Line:
    """Used by one thread at a time; `cut` may be called from any.

    Inputs go into a region of the line's own, kept for the next call; the server's results come in one of its own. What
    is sent is out of the caller's hands when `request` returns.
    """

    def __init__(self, server: ServerSocket) -> None:
        """Connect; raises BlockingIOError where the server has not accepted those before yet, and OSError."""
        self._socket = connected = server.connect()
        self._frames = frames.Frames(connected)
        self._pid = os.getpid()
        self._own = region.Own("in")
        self._result: Region | None = None
        self._known: dict[str, int] = {}  # regions of the caller's and their sizes; the one used last is the last
        self.last_used = 0.0
        self.ended = False

    @property
    def memory(self) -> int:
        """Bytes of the regions that wait with it for the next call."""
        return sum(len(each) for each in (self._own.region, self._result) if each is not None)

    @property
    def held(self) -> int:
        """Bytes of memory that live on with it: those, and what the caller may have let go since."""
        return self.memory + sum(self._known.values())

    def send(self, kind: int, body: bytes, deadline: float | None = None, fd: int = -1) -> None:
        """Send one frame; raises BrokenPipeError, ConnectionResetError, and TimeoutError past the deadline."""
        data = memoryview(frames.header(kind, len(body), fd >= 0) + body)
        while data:
            self._wait_until(deadline)
            data = data[self._frames.send(data, () if fd < 0 else (fd,)) :]
            fd = -1

    def request(self, request: Any, inputs: list[Tensor], shared: Shared, deadline: float | None) -> None:
        """Send a ModelInferRequest with its inputs; raises CallError where there is no room for them."""
        del request.inputs[:], request.raw_input_contents[:]
        for name in [name for name in self._known if name not in shared]:
            self._forget(name, deadline)
        mine = []
        for tensor in inputs:
            header = add_header(request.inputs, tensor)
            if (found := shared.find(tensor.data)) is None:
                mine.append((header, tensor))
                continue
            memory, offset = found
            self._make_known(memory, deadline)
            point(header, memory.name, tensor.nbytes, offset)
        places, size = files.offsets(tensor.nbytes for _, tensor in mine)
        room = self._room(size, deadline)
        if room is not None:
            for (header, tensor), place in zip(mine, places, strict=True):
                region.part(room, place, tensor.nbytes)[:] = tensor.data
                point(header, room.name, tensor.nbytes, place)
        elif size > MESSAGE_LIMIT:
            raise CallError(
                f"the inputs of {request.model_name} are {size / 2**30:.1f} GiB, this machine has no shared memory "
                "for them and a message holds 2 GiB at most: send less at once"
            )
        else:
            request.raw_input_contents.extend(bytes(tensor.data) for _, tensor in mine)
        self.send(frames.INFER, request.SerializeToString(), deadline)

    def answer(self, deadline: float | None) -> frames.Frame:
        """The next frame that says something; raises EOFError, ConnectionResetError, TimeoutError, CallError."""
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
                raise CallError(f"the model server sent what cannot be read: {error}") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def heard(self) -> Iterator[frames.Frame]:
        """Frames that came unasked, after one read that may wait; raises EOFError, OSError, FrameError."""
        self._frames.fill()
        while (frame := self._frames.next()) is not None:
            yield frame

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Bytes of the server's region; raises RegionError."""
        if self._result is None or self._result.name != name:
            raise region.RegionError(f"no region {name!r} came")
        return region.part(self._result, offset, size)

    def cut(self) -> None:
        """End the connection under whoever waits on it; in a forked child the parent's goes on."""
        self.ended = True
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it; called by the thread that uses it."""
        self.cut()
        self._frames.close()

    def _wait_until(self, deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        if left is not None or self._socket.gettimeout() is not None:
            self._socket.settimeout(left)

    def _make_known(self, memory: Region, deadline: float | None) -> None:
        if self._known.pop(memory.name, None) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._forget(next(iter(self._known)), deadline)
            self._hand_over(memory, deadline)
        self._known[memory.name] = len(memory)

    def _room(self, size: int, deadline: float | None) -> Region | None:
        """The region for so many bytes of inputs; None where they go inside the message."""
        if outgrown := self._own.outgrown(size):
            self._forget(outgrown, deadline)
        if size <= files.INLINE_LIMIT:
            return None
        if self._own.region is None and (memory := self._own.make(size)) is not None:
            self._hand_over(memory, deadline)
        return self._own.region

    def _hand_over(self, memory: Region, deadline: float | None) -> None:
        told = messages.SystemSharedMemoryRegisterRequest(name=memory.name, byte_size=len(memory))
        self.send(frames.REGION, told.SerializeToString(), deadline, memory.fd)

    def _forget(self, name: str, deadline: float | None) -> None:
        told = messages.SystemSharedMemoryUnregisterRequest(name=name)
        self.send(frames.FORGET, told.SerializeToString(), deadline)
        self._known.pop(name, None)
