"""The lane: calls on our own model server over its own Unix socket, tensors in memory that both sides map.

A call has a connection to itself while it runs: its regions are its own, and ending it is shutting the connection down.
Connections are used again, the last one first. Nothing here takes a lock, so a forked child finds none taken: it
makes connections of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from gpumodels.client.answers import read_answer, read_message
from gpumodels.client.failures import from_frame
from gpumodels.client.line import Line
from gpumodels.client.watch import Watch
from gpumodels.errors import CallError, ModelGone
from gpumodels.protocol import frames, messages

if TYPE_CHECKING:
    from collections.abc import Generator

    from gpumodels.client.shared import Shared
    from gpumodels.client.ticket import Ticket
    from gpumodels.protocol import ServerSocket, Tensor

_KEPT_LINES = 16
_KEPT_MEMORY = 256 << 20  # bytes of regions on connections that wait
_SMALL = 1 << 20  # bytes of memory that are not worth giving back
_LOOK = 0.01  # seconds between two looks at whether calls still run
_GIVEN_BACK_AFTER = 10.0  # seconds without a call on that connection


class Lane:
    """Connections to the lane of one model server; safe to use from many threads."""

    def __init__(self, server: ServerSocket, model: str) -> None:
        self._server = server
        self._model = model
        self._free: list[Line] = []
        self._busy: set[Line] = set()
        self._asked: Line | None = None
        self._numbers = itertools.count()
        self._closed = False
        self._timer: threading.Timer | None = None

    def metadata(self, timeout: float) -> Any | None:
        """The ModelMetadataResponse when the model is ready; None where it was not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            if self._asked is None:
                self._asked = Line(self._server)
                request = messages.ModelMetadataRequest(name=self._model)
                self._asked.send(frames.METADATA, request.SerializeToString(), deadline)
            frame = self._asked.answer(deadline)
        except TimeoutError:
            return None
        except (EOFError, OSError):  # it ended, or accepts nobody yet: who waits looks whether it lives
            self._stop_asking()
            time.sleep(max(0.0, deadline - time.monotonic()))
            return None
        line, self._asked = self._asked, None
        self._give(line)
        self._expect(frame, frames.ANSWER)
        return read_message(messages.ModelMetadataResponse, frame.body, self._model)

    def infer(
        self, request: Any, inputs: list[Tensor], shared: Shared, deadline: float | None, ticket: Ticket
    ) -> Generator[dict[str, Any], None, None]:
        """The values of each answer by output name; leaving the iterator early cancels the call.

        `deadline` is in time.monotonic() seconds. Raises CallError and its kinds, CancelledError where the ticket was
        ended, and TimeoutError past the deadline.
        """
        request.id = str(next(self._numbers))
        line, frame = self._begin(request, inputs, shared, deadline, ticket)
        try:
            while frame.kind in {frames.ANSWER, frames.PART}:
                yield self._values(frame, line, request.id)
                if frame.kind == frames.ANSWER:
                    break
                frame = line.answer(deadline)
            else:
                self._expect(frame, frames.END, frames.FAILED)
        except BaseException as error:  # noqa: BLE001 (raised again, as what it is for the caller)
            self._drop(line)
            raise self._said(error, ticket) from None
        self._give(line)
        if frame.kind == frames.FAILED:
            raise from_frame(frame.body, self._model)

    def watch(self) -> Watch | None:
        """A connection that tells when the server falls asleep; None where it has ended already."""
        try:
            return Watch(self._server)
        except OSError:
            return None

    def finish(self) -> None:
        """Begin no more calls, and wait for those that run."""
        self._closed = True
        while self._busy:
            time.sleep(_LOOK)

    def close(self) -> None:
        """End all connections; calls that run end with ModelGone."""
        self._closed = True
        for line in list(self._busy):
            line.cut()
        while self._free:
            self._free.pop().close()
        self._stop_asking()
        if self._timer is not None:
            self._timer.cancel()

    def forked(self) -> None:
        """In a forked child: let go of the connections, which are the parent's."""
        for line in [*self._busy, *self._free]:
            line.close()
        self._stop_asking()
        self._free, self._busy, self._timer = [], set(), None

    def _values(self, frame: frames.Frame, line: Line, asked: str) -> dict[str, Any]:
        response = read_message(messages.ModelInferResponse, frame.body, self._model)
        if response.id != asked:
            raise CallError(f"the model server of {self._model} sent the answer of another call")
        return read_answer(response, line.view, self._model)

    def _expect(self, frame: frames.Frame, *kinds: int) -> None:
        if frame.kind not in kinds:
            raise CallError(f"the model server of {self._model} sent a frame of kind {frame.kind}, which is no answer")

    def _stop_asking(self) -> None:
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _begin(
        self, request: Any, inputs: list[Tensor], shared: Shared, deadline: float | None, ticket: Ticket
    ) -> tuple[Line, frames.Frame]:
        """Send the request and wait for the first frame of its answer.

        A connection that the server closed before it had read the whole request is reset; where it ends otherwise, the
        call may have begun. One that had not is sent once more, on a connection of its own.
        """
        for again in (True, False):
            line = self._take(deadline) if again else self._connect(deadline)
            try:
                self._use(line, ticket)
                line.request(request, inputs, shared, deadline)
                return line, line.answer(deadline)
            except (BrokenPipeError, ConnectionResetError) as error:
                self._drop(line)
                if not again or self._closed or ticket.ended:
                    raise _not_begun(self._said(error, ticket)) from None
            except BaseException as error:  # noqa: BLE001 (raised again, as what it is for the caller)
                self._drop(line)
                raise self._said(error, ticket) from None
        raise AssertionError

    def _said(self, error: BaseException, ticket: Ticket) -> BaseException:
        """What the caller is told of an error on the way."""
        if isinstance(error, MemoryError):
            return CallError(f"the answer of {self._model} does not fit into the memory of this process")
        if not isinstance(error, (EOFError, OSError)) or isinstance(error, TimeoutError):
            return error
        ticket.check()
        return self._lost(error)

    def _use(self, line: Line, ticket: Ticket) -> None:
        self._busy.add(line)
        if self._closed:
            raise _not_begun(self._lost())
        ticket.take(line.cut)

    def _take(self, deadline: float | None) -> Line:
        try:
            return self._free.pop()
        except IndexError:
            return self._connect(deadline)

    def _connect(self, deadline: float | None) -> Line:
        pause = 0.001
        while True:
            try:
                return Line(self._server)
            except BlockingIOError:  # more connect at once than the server has accepted
                if deadline is not None and time.monotonic() + pause > deadline:
                    raise TimeoutError from None
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
            except OSError as error:
                raise _not_begun(self._lost(error)) from None

    def _give(self, line: Line) -> None:
        self._busy.discard(line)
        self._free.append(line)
        if len(self._free) > 1 and self._kept_too_much():
            self._end_free(line)
        if line.held > _SMALL:
            line.last_used = time.monotonic()
            if self._timer is None:
                self._watch(_GIVEN_BACK_AFTER)
        if self._closed or line.ended:
            self._end_free(line)

    def _kept_too_much(self) -> bool:
        return len(self._free) > _KEPT_LINES or sum(line.memory for line in list(self._free)) > _KEPT_MEMORY

    def _drop(self, line: Line) -> None:
        self._busy.discard(line)
        line.close()

    def _lost(self, error: BaseException | None = None) -> CallError:
        if isinstance(error, OSError) and error.errno in frames.TOO_MANY_FILES:
            return CallError(f"{self._model} cannot be called: {error.strerror} in this process")
        if self._closed:
            return ModelGone(f"the connection to {self._model} is closed: load it again")
        return ModelGone(f"the model server of {self._model} does not answer")

    def _end_free(self, line: Line) -> None:
        try:
            self._free.remove(line)
        except ValueError:  # another thread took it meanwhile
            return
        line.close()

    def _watch(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._give_back)
        self._timer.daemon = True
        self._timer.start()

    def _give_back(self) -> None:
        """On a timer: the memory of connections on which nobody called for a while is given back."""
        self._timer = None
        now, left = time.monotonic(), []
        for line in list(self._free):
            if line.held > _SMALL:
                wait = line.last_used + _GIVEN_BACK_AFTER - now
                if wait <= 0:
                    self._end_free(line)
                else:
                    left.append(wait)
        if left and not self._closed:
            self._watch(min(left))


def _not_begun(error: BaseException) -> BaseException:
    if isinstance(error, ModelGone):
        error.begun = False
    return error
