"""The connection of one client to the lane (`lane.sock`), and the calls that arrive on it."""

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

_UNREAD_LIMIT = 10.0  # seconds for which a client that does not read its answer may delay other calls
_LOOK_INTERVAL = 0.1  # seconds between two checks that this client is still connected
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)  # computed once, because `|` of two flags takes longer than `recv`


class Connection:
    """The connection of one client, with the regions that the client registered and the region for its results.

    The thread of the lane's loop reads the connection, except while a call that came on it runs. The thread that runs
    the call sends the answer.
    """

    def __init__(self, connected: socket.socket, lane: Lane, scheduler: Scheduler) -> None:
        self.fd = connected.fileno()
        self.last_used = time.monotonic()
        #: True while a call of this connection runs on another thread than the loop's.
        self.busy = False
        #: True if the client is a holder of the instance that watches for the server's sleep and end.
        self.watches = False
        #: True if that holder has asked the server to sleep.
        self.wants_sleep = False
        #: False from the frame ABOUT_TO_SLEEP until that holder has answered it.
        self.answered = True
        self._socket = connected
        self._frames = frames.Frames(connected)
        self._lane = lane
        self._scheduler = scheduler
        self._regions: dict[str, Region] = {}
        self._results = region.Own("out")
        self._broken = False

    def serve(self, *, fill: bool = True) -> bool:
        """Handle the frames that have arrived.

        Parameters
        ----------
        fill : bool
            Read the socket once first. If False, handle only what was read before.

        Returns
        -------
        bool
            False if the caller must close the connection.

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
        except (ValueError, MemoryError, DecodeError) as error:  # not our client: this is no frame, message or region
            log(f"a connection was closed: {error}")
            return False
        return self.busy or not self._broken  # while a call runs, its thread may just be sending a frame

    def read_on(self) -> None:
        """Let the lane's loop poll and read this connection again. The loop uses this when the call has ended."""
        self._lane.read_on(self)

    def drop(self) -> None:
        """Let the loop close this connection when the running call has ended."""
        self._broken = True

    def close(self) -> None:
        """Close the connection. Its shared memory stays mapped while an array refers to it."""
        self._frames.close()
        self._regions.clear()
        self._results.region = None

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return bytes of a region that the client registered. Raises RegionError if there are no such bytes."""
        found = self._regions.get(name)
        if found is None:
            raise region.RegionError(f"no shared memory region {name!r} is registered")
        return region.part(found, offset, size)

    def gone(self) -> bool:
        """Return True if the client has left. Any thread may call this, also while a call runs."""
        try:
            return not self._socket.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            # In a child that the author's code forked, the socket is closed. The child cannot know, and returns False.
            return self._socket.fileno() >= 0

    def send(self, kind: int, body: bytes = b"", fd: int = -1) -> None:
        """Send one frame of a kind of `protocol.frames`, and with it the descriptor `fd` of a region; -1 for none.

        Raises
        ------
        ClientGone
            If the client has left, or if it has not read for 10 seconds and other clients wait for this thread.

        """
        data = memoryview(frames.header(len(body), kind, fd >= 0) + body)
        waits_since = 0.0
        self._broken = True  # until the whole frame is sent
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
        """Return a region for `size` bytes of results. If the region is new, first send it to the client.

        Return None if the results belong inside the message: they are small, or there is no memory for a region.
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
        """Return True if other clients wait for this thread.

        They wait if it is the loop's thread, or if the scheduler is full, so that this call must end first.
        """
        return (not self.busy or self._scheduler.full) and self._lane.others_wait(self)


class _LaneCall(Call):
    """A call on a connection of the lane."""

    def __init__(self, request: Any, connection: Connection) -> None:
        super().__init__(request, connection)
        self._connection = connection

    def gone(self) -> bool:
        return self._connection.gone()

    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        response, chosen = begin(self.request, tensors)
        offsets, size = files.offsets(tensor.nbytes for tensor in chosen)
        # There is one region for results. After a last answer the client has read it before it sends the next request.
        # Between the answers of a stream it may still be reading, so those answers go inside messages.
        memory = self._connection.room(size) if last else None
        if memory is None:
            put_inside(response, chosen)
        else:
            for output, tensor, offset in zip(response.outputs, chosen, offsets, strict=True):
                region.part(memory, offset, tensor.nbytes)[:] = tensor.data
                point(output, memory.name, tensor.nbytes, offset)
        self._connection.send(frames.ANSWER if last else frames.PART, response.SerializeToString())

    def end(self) -> None:
        self._connection.send(frames.END)

    def failed(self, failure: CallFailed) -> None:
        response = messages.ModelInferResponse(model_name=self.request.model_name, id=self.request.id)
        messages.set_parameters(response, code=failure.code, message=str(failure), traceback=failure.remote_traceback)
        self._connection.send(frames.FAILED, response.SerializeToString())

    def drop(self) -> None:
        self._connection.drop()

    def read_on(self) -> None:
        self._connection.read_on()
