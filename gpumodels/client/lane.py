"""The lane: calls on our own model server over its own Unix socket, with tensors in memory that both sides map.

Each running call has a connection of its own, with its regions of shared memory. Shutting the connection down cancels
the call. Later calls use free connections again, the one that was used last first. Nothing here takes a lock, because a
forked child would inherit it locked. A forked child opens connections of its own.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

from gpumodels.client.answers import read_answer, read_message
from gpumodels.client.connection import Connection
from gpumodels.client.failures import from_frame
from gpumodels.client.watch import Watch
from gpumodels.errors import CallError, ModelGone
from gpumodels.protocol import frames, messages

if TYPE_CHECKING:
    from collections.abc import Generator

    from gpumodels.client.shared import SharedArrays
    from gpumodels.client.ticket import Ticket
    from gpumodels.protocol import ServerSocket, Tensor

_KEPT_CONNECTIONS = 16
_KEPT_MEMORY = 256 << 20  # bytes of regions on connections without a call
_SMALL = 1 << 20  # bytes of memory that are not worth freeing
_POLL = 0.01  # seconds between two checks for running calls
_GIVEN_BACK_AFTER = 10.0  # seconds without a call on a connection until its memory is freed


class Lane:
    """The connections to the lane of one model server. Safe to use from threads."""

    def __init__(self, server: ServerSocket, model: str) -> None:
        self._server = server
        self._model = model
        self._free: list[Connection] = []
        self._busy: set[Connection] = set()
        self._metadata_connection: Connection | None = None
        self._numbers = itertools.count()
        self._closed = False
        self._timer: threading.Timer | None = None

    def metadata(self, timeout: float) -> Any | None:
        """Return the ModelMetadataResponse, or None if the model is not ready within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            if self._metadata_connection is None:
                self._metadata_connection = Connection(self._server)
                request = messages.ModelMetadataRequest(name=self._model)
                self._metadata_connection.send(frames.METADATA, request.SerializeToString(), deadline)
            frame = self._metadata_connection.answer(deadline)
        except TimeoutError:
            return None
        except (EOFError, OSError):  # the server ended or does not accept connections yet; the caller finds out which
            self._close_metadata_connection()
            time.sleep(max(0.0, deadline - time.monotonic()))
            return None
        connection, self._metadata_connection = self._metadata_connection, None
        self._put_back(connection)
        self._expect(frame, frames.ANSWER)
        return read_message(messages.ModelMetadataResponse, frame.body, self._model)

    def infer(
        self, request: Any, inputs: list[Tensor], shared: SharedArrays, deadline: float | None, ticket: Ticket
    ) -> Generator[dict[str, Any], None, None]:
        """Send `request` with the inputs, and yield the values of each answer, by output name.

        Closing the iterator early cancels the call. `shared` are arrays that need no copy. `deadline` is in
        time.monotonic() seconds. Raises CallError or a subclass of it, CancelledError if another thread ended `ticket`,
        and TimeoutError past the deadline.
        """
        request.id = str(next(self._numbers))
        connection, frame = self._begin(request, inputs, shared, deadline, ticket)
        try:
            while frame.kind in {frames.ANSWER, frames.PART}:
                yield self._values(frame, connection, request.id)
                if frame.kind == frames.ANSWER:
                    break
                frame = connection.answer(deadline)
            else:
                self._expect(frame, frames.END, frames.FAILED)
        except BaseException as error:  # noqa: BLE001 (raised again, as the error for the caller)
            self._drop(connection)
            raise self._call_error(error, ticket) from None
        self._put_back(connection)
        if frame.kind == frames.FAILED:
            raise from_frame(frame.body, self._model)

    def watch(self) -> Watch | None:
        """Return a connection on which the server announces its sleep; None if the server has ended already."""
        try:
            return Watch(self._server)
        except OSError:
            return None

    def finish(self) -> None:
        """Refuse new calls, and wait until running calls end."""
        self._closed = True
        while self._busy:
            time.sleep(_POLL)

    def close(self) -> None:
        """Close all connections. Running calls end with ModelGone."""
        self._closed = True
        for connection in list(self._busy):
            connection.cut()
        while self._free:
            self._free.pop().close()
        self._close_metadata_connection()
        if self._timer is not None:
            self._timer.cancel()

    def forked(self) -> None:
        """Close a forked child's copies of the connections. The parent's stay open. The after-fork hook calls this."""
        for connection in [*self._busy, *self._free]:
            connection.close()
        self._close_metadata_connection()
        self._free, self._busy, self._timer = [], set(), None

    def _values(self, frame: frames.Frame, connection: Connection, request_id: str) -> dict[str, Any]:
        response = read_message(messages.ModelInferResponse, frame.body, self._model)
        if response.id != request_id:
            raise CallError(f"the model server of {self._model} sent the answer of another call")
        return read_answer(response, connection.view, self._model)

    def _expect(self, frame: frames.Frame, *kinds: int) -> None:
        if frame.kind not in kinds:
            raise CallError(f"the model server of {self._model} sent a frame of kind {frame.kind}, not an answer")

    def _close_metadata_connection(self) -> None:
        if self._metadata_connection is not None:
            self._metadata_connection.close()
            self._metadata_connection = None

    def _begin(
        self, request: Any, inputs: list[Tensor], shared: SharedArrays, deadline: float | None, ticket: Ticket
    ) -> tuple[Connection, frames.Frame]:
        """Send the request and wait for the first frame of its answer.

        If the server closes the connection before it has read the whole request, the connection is reset, and the call
        has not begun. Then send the request once more, on a new connection. After any other end of the connection the
        call may have begun, so it is not repeated.
        """
        for first_try in (True, False):
            connection = self._take(deadline) if first_try else self._connect(deadline)
            try:
                self._use(connection, ticket)
                connection.request(request, inputs, shared, deadline)
                return connection, connection.answer(deadline)
            except (BrokenPipeError, ConnectionResetError) as error:
                self._drop(connection)
                if not first_try or self._closed or ticket.ended:
                    raise _not_begun(self._call_error(error, ticket)) from None
            except BaseException as error:  # noqa: BLE001 (raised again, as the error for the caller)
                self._drop(connection)
                raise self._call_error(error, ticket) from None
        raise AssertionError

    def _call_error(self, error: BaseException, ticket: Ticket) -> BaseException:
        """Return the error for the caller: CallError for a lost connection or a lack of memory, else the error itself.

        Raises CancelledError if the connection was lost because the ticket was ended.
        """
        if isinstance(error, MemoryError):
            return CallError(f"the answer of {self._model} does not fit into the memory of this process")
        if not isinstance(error, (EOFError, OSError)) or isinstance(error, TimeoutError):
            return error
        ticket.check()
        return self._connection_error(error)

    def _use(self, connection: Connection, ticket: Ticket) -> None:
        self._busy.add(connection)
        if self._closed:
            raise _not_begun(self._connection_error())
        ticket.take(connection.cut)

    def _take(self, deadline: float | None) -> Connection:
        try:
            return self._free.pop()
        except IndexError:
            return self._connect(deadline)

    def _connect(self, deadline: float | None) -> Connection:
        pause = 0.001
        while True:
            try:
                return Connection(self._server)
            except BlockingIOError:  # the server's queue of connections to accept is full
                if deadline is not None and time.monotonic() + pause > deadline:
                    raise TimeoutError from None
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
            except OSError as error:
                raise _not_begun(self._connection_error(error)) from None

    def _put_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        self._free.append(connection)
        if len(self._free) > 1 and self._keeps_too_much():
            self._close_free(connection)
        if connection.held > _SMALL:
            connection.last_used = time.monotonic()
            if self._timer is None:
                self._start_timer(_GIVEN_BACK_AFTER)
        if self._closed or connection.ended:
            self._close_free(connection)

    def _keeps_too_much(self) -> bool:
        return (
            len(self._free) > _KEPT_CONNECTIONS
            or sum(connection.memory for connection in list(self._free)) > _KEPT_MEMORY
        )

    def _drop(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.close()

    def _connection_error(self, error: BaseException | None = None) -> CallError:
        if isinstance(error, OSError) and error.errno in frames.TOO_MANY_FILES:
            return CallError(f"{self._model} cannot be called: {error.strerror} in this process")
        if self._closed:
            return ModelGone(f"the connection to {self._model} is closed: load it again")
        return ModelGone(f"the model server of {self._model} does not answer")

    def _close_free(self, connection: Connection) -> None:
        try:
            self._free.remove(connection)
        except ValueError:  # another thread took the connection meanwhile
            return
        connection.close()

    def _start_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._close_idle)
        self._timer.daemon = True
        self._timer.start()

    def _close_idle(self) -> None:
        """Close free connections that hold more than 1 MiB and had no call for 10 seconds. Runs on a timer's thread."""
        self._timer = None
        now, left = time.monotonic(), []
        for connection in list(self._free):
            if connection.held > _SMALL:
                wait = connection.last_used + _GIVEN_BACK_AFTER - now
                if wait <= 0:
                    self._close_free(connection)
                else:
                    left.append(wait)
        if left and not self._closed:
            self._start_timer(min(left))


def _not_begun(error: BaseException) -> BaseException:
    if isinstance(error, ModelGone):
        error.begun = False
    return error
