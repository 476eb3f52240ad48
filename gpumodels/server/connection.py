"""A client's connection on the lane, and the calls that come on it."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from gpumodels.protocol import files, frames, messages, point, region
from gpumodels.server.calls import Call, ClientGone, log
from gpumodels.server.config import metadata
from gpumodels.server.replies import begin, put_inside

if TYPE_CHECKING:
    from gpumodels.protocol import Region, Tensor
    from gpumodels.server.lane import Lane
    from gpumodels.server.results import CallFailed
    from gpumodels.server.scheduler import Scheduler

_UNREAD_LIMIT = 10.0  # seconds for which an answer that its client does not read may hold up other calls
_LOOK_INTERVAL = 0.1  # seconds between two looks at whether that client has left
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)  # an `int`: adding up flags anew takes longer than the call


class Connection:
    """One client's connection, with the regions that the client registered and the one for its results.

    The loop's thread reads it, and only while no call runs on it. The thread that runs the call sends the answer.
    """

    def __init__(self, connected: socket.socket, lane: Lane, scheduler: Scheduler) -> None:
        self.fd = connected.fileno()
        self.last_used = time.monotonic()
        #: True while a call from here runs on another thread than the loop's.
        self.busy = False
        #: True if a holder of the instance watches here for the server's sleep.
        self.watches = False
        #: True if that holder asked the server to sleep.
        self.wants_sleep = False
        #: True unless that holder still has to answer ABOUT_TO_SLEEP.
        self.answered = True
        self._socket = connected
        self._frames = frames.Frames(connected)
        self._lane = lane
        self._scheduler = scheduler
        self._regions: dict[str, Region] = {}
        self._results = region.Own("out")
        self._broken = False

    def serve(self, *, fill: bool = True) -> bool:
        """Handle the frames that came, after one read of the socket if `fill`.

        Returns
        -------
        bool
            False if the connection is over.

        """
        try:
            if fill:
                self._frames.fill()
            while not (self.busy or self._broken) and (frame := self._frames.next()) is not None:
                self.last_used = time.monotonic()
                self._handle(frame)
        except BlockingIOError:
            return True
        except (EOFError, OSError, ClientGone) as error:
            if isinstance(error, OSError) and error.errno in frames.TOO_MANY_FILES:
                self.last_used = time.monotonic()
                self._lane.out_of_files()
            return False
        except (ValueError, MemoryError, DecodeError) as error:  # not a client of ours: no frame, message or region
            log(f"a connection was closed: {error}")
            return False
        return self.busy or not self._broken  # the thread of a running call may be in the middle of a frame

    def read_on(self) -> None:
        """Have the lane read here again, now that the call has ended."""
        self._lane.read_on(self)

    def close(self) -> None:
        """End the connection. Its memory lives on while an array refers to it."""
        self._frames.close()
        self._regions.clear()
        self._results.region = None

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return bytes of a region that the client registered; raises RegionError."""
        found = self._regions.get(name)
        if found is None:
            raise region.RegionError(f"no shared memory region {name!r} is registered")
        return region.part(found, offset, size)

    def gone(self) -> bool:
        """Return True if the client has left. Any thread may ask, also while the loop does not read here."""
        try:
            return not self._socket.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return self._socket.fileno() >= 0  # closed in a child that the author's code forked, which cannot tell

    def send(self, kind: int, body: bytes = b"", fd: int = -1) -> None:
        """Send one frame.

        Raises
        ------
        ClientGone
            If the client has left, or does not read while other calls wait.

        """
        data = memoryview(frames.header(len(body), kind, fd >= 0) + body)
        waits_since = 0.0
        self._broken = True  # until the whole frame is out
        while data:
            try:
                data = data[self._frames.send(data, () if fd < 0 else (fd,)) :]
            except BlockingIOError:
                waits_since = waits_since or time.monotonic()
                self._wait_writable(waits_since + _UNREAD_LIMIT)
                continue
            except OSError:
                raise ClientGone from None
            fd = -1
        self._broken = False

    def room(self, size: int) -> Region | None:
        """Return a region for `size` bytes of results, which the client knows.

        Returns None if the results go inside the message: they are small, or there is no memory for a region.
        """
        if outgrown := self._results.outgrown(size):
            self.send(frames.FORGET, messages.SystemSharedMemoryUnregisterRequest(name=outgrown).SerializeToString())
        if size <= files.INLINE_LIMIT:
            return None
        if self._results.region is None and (memory := self._results.make(size)) is not None:
            registered = messages.SystemSharedMemoryRegisterRequest(name=memory.name, byte_size=len(memory))
            self.send(frames.REGION, registered.SerializeToString(), memory.fd)
        return self._results.region

    def _handle(self, frame: frames.Frame) -> None:
        if frame.kind == frames.INFER:
            request = messages.ModelInferRequest.FromString(frame.body)
            del frame
            self.busy = not self._scheduler.submit(_LaneCall(request, self))
        elif frame.kind == frames.REGION:
            memory = region.adopt(frame.fd)
            registered = messages.SystemSharedMemoryRegisterRequest.FromString(frame.body)
            self._regions[registered.name] = memory
            if len(self._regions) > frames.MOST_REGIONS:
                raise frames.FrameError(f"more than {frames.MOST_REGIONS} regions are too many")
        elif frame.kind == frames.FORGET:
            forgotten = messages.SystemSharedMemoryUnregisterRequest.FromString(frame.body)
            self._regions.pop(forgotten.name, None)
        elif frame.kind == frames.WATCH:
            self.watches = self.answered = True
        elif frame.kind == frames.SLEEP:
            self.wants_sleep = True
        elif frame.kind == frames.STAY:
            self.wants_sleep = False
        elif frame.kind == frames.METADATA:
            self.send(frames.ANSWER, metadata(self._scheduler.model).SerializeToString())
        else:
            raise frames.FrameError(f"a client does not send frames of kind {frame.kind}")

    def _wait_writable(self, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while True:
            writable = poll.poll(_LOOK_INTERVAL * 1000)
            if time.monotonic() > deadline and self._holds_up_others():
                log(f"an answer that was not read within {_UNREAD_LIMIT:.0f} s held up other calls: it was given up")
                raise ClientGone
            if writable:
                return
            if self.gone():
                raise ClientGone

    def _holds_up_others(self) -> bool:
        """Return True if others wait for this thread: for the loop's, or for a call to end while all slots are busy."""
        return (not self.busy or self._scheduler.full) and self._lane.others_wait(self)


class _LaneCall(Call):
    """A call that came on a connection of the lane."""

    def __init__(self, request: Any, connection: Connection) -> None:
        super().__init__(request, connection)
        self._connection = connection

    def gone(self) -> bool:
        return self._connection.gone()

    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        response, chosen = begin(self.request, tensors)
        places, size = files.offsets(tensor.nbytes for tensor in chosen)
        # The one region for results is free again when the client asks for more: in a stream it may not have read yet.
        memory = self._connection.room(size) if last else None
        if memory is None:
            put_inside(response, chosen)
        else:
            for output, tensor, place in zip(response.outputs, chosen, places, strict=True):
                region.part(memory, place, tensor.nbytes)[:] = tensor.data
                point(output, memory.name, tensor.nbytes, place)
        self._connection.send(frames.ANSWER if last else frames.PART, response.SerializeToString())

    def end(self) -> None:
        self._connection.send(frames.END)

    def failed(self, failure: CallFailed) -> None:
        response = messages.ModelInferResponse(model_name=self.request.model_name, id=self.request.id)
        messages.set_parameters(response, code=failure.code, message=str(failure), traceback=failure.remote_traceback)
        self._connection.send(frames.FAILED, response.SerializeToString())

    def read_on(self) -> None:
        self._connection.read_on()
