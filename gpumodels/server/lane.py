"""The server's side of the lane: the model's thread itself waits for requests, runs them and sends the answers.

No other thread takes part, so a call costs two wake-ups, the server's and the client's. While `predict` runs nobody
reads: what comes meanwhile waits in the sockets. That a client has left is seen by looking at its socket.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn

from google.protobuf.message import DecodeError

from gpumodels.protocol import files, frames, messages, point, region
from gpumodels.server.calls import Call, ClientGone, log
from gpumodels.server.config import metadata
from gpumodels.server.replies import begin, put_inside
from gpumodels.server.sleep import Sleep

if TYPE_CHECKING:
    from gpumodels.protocol import Region, Tensor
    from gpumodels.server.calls import Model
    from gpumodels.server.results import CallFailed

_BACKLOG = 128
_MOST_CONNECTIONS = 200  # each takes a few descriptors; the one that was silent longest makes room
_SPARE = 16  # descriptors for the regions of calls, which connections do not get
_PATIENCE = 10.0  # seconds for which an answer that its client does not read may hold up other calls
_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)  # an `int`: adding up flags anew takes longer than the call
_LOOK = 0.1  # seconds between two looks at whether such a client has left


class CallQueue:
    """Calls that came another way, by gRPC's threads, and wait for the model's."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self.fd = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        """Add a call; it runs after those before it."""
        self._calls.append(call)
        os.eventfd_write(self.fd, 1)

    def take(self) -> Call:
        """The next call, when `fd` is readable."""
        os.eventfd_read(self.fd)
        return self._calls.popleft()


class Lane:
    """Listens in the directory from the start, answers when there is a model."""

    def __init__(self, directory: int) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        before = os.umask(0o177)
        try:
            self._listener.bind(files.socket_path(directory, frames.SOCKET_NAME))
        finally:
            os.umask(before)
        self._listener.listen(_BACKLOG)
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        os.register_at_fork(after_in_child=self._forked)

    def run_forever(self, model: Model, queue: CallQueue, idle: float) -> NoReturn:
        """Run the calls that come, over the lane and in the queue, on the calling thread.

        After `idle` seconds without a call (math.inf: never), or when a holder asks for it, the process ends.
        """
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(queue.fd, select.EPOLLIN)
        sleep = Sleep(model, idle)
        while True:
            ready = self._epoll.poll(sleep.next_look(self._connections.values()))
            for fd, _ in ready:
                if (connection := self._connections.get(fd)) is not None:
                    if not connection.serve(model):
                        self._end(fd)
                elif fd == queue.fd:
                    model.run(queue.take())
                elif fd == self._listener.fileno():
                    while self._accept():  # all: what is not accepted is not seen to wait
                        pass
            if not ready:
                sleep.fall(self._connections.values())

    def waiting(self, queue: CallQueue) -> int:
        """How many calls have come and not begun, here or in the queue; asked from any thread.

        Those on connections that were made since the running call began count as one: nobody has looked at them.
        """
        ready = self._epoll.poll(0)
        return len(queue) + sum(fd != queue.fd and not events & select.EPOLLHUP for fd, events in ready)

    def others_wait(self, connection: Connection) -> bool:
        """Whether somebody else has sent something."""
        return any(fd != connection.fd for fd, _ in self._epoll.poll(0))

    def _accept(self) -> bool:
        """Take a new connection, if there is one and it can be had."""
        try:
            connected, _ = self._listener.accept()
        except OSError as error:
            if error.errno in frames.TOO_MANY_FILES:
                self.out_of_files()
            return False
        if len(self._connections) >= _MOST_CONNECTIONS:
            self._end(min(self._connections, key=self._use))
        if connected.fileno() > resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE:  # the lowest that is free
            self.out_of_files()
        connected.setblocking(False)
        connection = Connection(connected, self)
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        return True

    def out_of_files(self) -> None:
        """End the half of the connections that was silent longest: who calls there again connects anew."""
        silent = sorted(self._connections, key=self._use)[: len(self._connections) // 2]
        log(f"too many files are open: {len(silent)} connections that were silent were closed")
        for fd in silent:
            self._end(fd)
        if not silent:
            time.sleep(_LOOK)  # the files are not ours to close

    def _use(self, fd: int) -> tuple[bool, float]:
        """What is of the least use has the lowest; who watches is silent by nature."""
        connection = self._connections[fd]
        return connection.watches, connection.last_used

    def _end(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._connections.pop(fd).close()

    def _forked(self) -> None:
        """In a child that the author's code forks: a connection must end with the server, whatever lives on."""
        self._listener.close()
        self._epoll.close()
        for connection in self._connections.values():
            connection.close()


class Connection:
    """One client's connection, with the regions that it made known and the one for its results."""

    def __init__(self, connected: socket.socket, lane: Lane) -> None:
        self.fd = connected.fileno()
        self.last_used = time.monotonic()
        self._socket = connected
        self._frames = frames.Frames(connected)
        self._lane = lane
        self._regions: dict[str, Region] = {}
        self._results = region.Own("out")
        self._broken = False
        #: Whether a holder of the instance watches here, whether it asked for sleep, and whether it knows of it.
        self.watches = self.wants_sleep = False
        self.knows = True

    def serve(self, model: Model) -> bool:
        """Read what came and answer it; False when the connection is over."""
        try:
            self._frames.fill()
            while (frame := self._frames.next()) is not None:
                self.last_used = time.monotonic()
                self._handle(frame, model)
        except BlockingIOError:
            return True
        except (EOFError, OSError, ClientGone) as error:
            if isinstance(error, OSError) and error.errno in frames.TOO_MANY_FILES:
                self.last_used = time.monotonic()
                self._lane.out_of_files()
            return False
        except (ValueError, MemoryError, DecodeError) as error:  # no frame, no message, no region: not a client of ours
            log(f"a connection was closed: {error}")
            return False
        return not self._broken

    def close(self) -> None:
        """End it; its memory goes with it when no array looks into it any more."""
        self._frames.close()
        self._regions.clear()
        self._results.region = None

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Bytes of a region that the client made known; raises RegionError."""
        found = self._regions.get(name)
        if found is None:
            raise region.RegionError(f"no shared memory region {name!r} is registered")
        return region.part(found, offset, size)

    def gone(self) -> bool:
        """Whether the client has left."""
        try:
            return not self._socket.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return self._socket.fileno() >= 0  # a child that the author's code forked cannot tell

    def send(self, kind: int, body: bytes = b"", fd: int = -1) -> None:
        """Send one frame; raises ClientGone, also for one who reads nothing while others wait."""
        data = memoryview(frames.header(kind, len(body), fd >= 0) + body)
        waits_since = 0.0
        self._broken = True  # until the frame is out whole
        while data:
            try:
                data = data[self._frames.send(data, () if fd < 0 else (fd,)) :]
            except BlockingIOError:
                waits_since = waits_since or time.monotonic()
                self._wait_writable(waits_since + _PATIENCE)
                continue
            except OSError:
                raise ClientGone from None
            fd = -1
        self._broken = False

    def room(self, size: int) -> Region | None:
        """The region for so many bytes of results, which the client knows; None where they go inside the message."""
        if outgrown := self._results.outgrown(size):
            self.send(frames.FORGET, messages.SystemSharedMemoryUnregisterRequest(name=outgrown).SerializeToString())
        if size <= files.INLINE_LIMIT:
            return None
        if self._results.region is None and (memory := self._results.make(size)) is not None:
            told = messages.SystemSharedMemoryRegisterRequest(name=memory.name, byte_size=len(memory))
            self.send(frames.REGION, told.SerializeToString(), memory.fd)
        return self._results.region

    def _handle(self, frame: frames.Frame, model: Model) -> None:
        if frame.kind == frames.INFER:
            request = messages.ModelInferRequest.FromString(frame.body)
            del frame
            model.run(_LaneCall(request, self))
        elif frame.kind == frames.REGION:
            memory = region.adopt(frame.fd)
            told = messages.SystemSharedMemoryRegisterRequest.FromString(frame.body)
            self._regions[told.name] = memory
            if len(self._regions) > frames.MOST_REGIONS:
                raise frames.FrameError(f"more than {frames.MOST_REGIONS} regions are too many")
        elif frame.kind == frames.FORGET:
            told = messages.SystemSharedMemoryUnregisterRequest.FromString(frame.body)
            self._regions.pop(told.name, None)
        elif frame.kind == frames.WATCH:
            self.watches = self.knows = True
        elif frame.kind == frames.SLEEP:
            self.wants_sleep = True
        elif frame.kind == frames.STAY:
            self.wants_sleep = False
        elif frame.kind == frames.METADATA:
            self.send(frames.ANSWER, metadata(model).SerializeToString())
        else:
            raise frames.FrameError(f"a client does not send frames of kind {frame.kind}")

    def _wait_writable(self, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while True:
            writable = poll.poll(_LOOK * 1000)
            if time.monotonic() > deadline and self._lane.others_wait(self):
                log(f"an answer that was not read within {_PATIENCE:.0f} s held up other calls: it was given up")
                raise ClientGone
            if writable:
                return
            if self.gone():
                raise ClientGone


class _LaneCall(Call):
    def __init__(self, request: Any, connection: Connection) -> None:
        super().__init__(request, connection)
        self._connection = connection

    def gone(self) -> bool:
        return self._connection.gone()

    def answer(self, tensors: list[Tensor], *, last: bool) -> None:
        response, chosen = begin(self.request, tensors)
        places, size = files.offsets(tensor.nbytes for tensor in chosen)
        # There is one region for results, which the client must have read before the next one: not so in a stream.
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
        told = messages.ModelInferResponse(model_name=self.request.model_name, id=self.request.id)
        messages.set_parameters(told, code=failure.code, message=str(failure), traceback=failure.remote_traceback)
        self._connection.send(frames.FAILED, told.SerializeToString())
