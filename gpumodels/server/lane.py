"""The lane: its socket, its connections, and the loop of the main thread, which submits requests to the scheduler.

With the default scheduler the loop's thread runs the call itself. So a call costs two wake-ups, one of the server and
one of the client. The loop reads nothing meanwhile; new requests wait in the sockets. A scheduler that runs several
calls at once uses other threads. The loop then reads connections without a running call until the scheduler is full.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from typing import TYPE_CHECKING, NoReturn

from gpumodels.protocol import files, frames
from gpumodels.server.calls import log
from gpumodels.server.connection import Connection
from gpumodels.server.sleep import Sleep

if TYPE_CHECKING:
    from gpumodels.server.scheduler import Scheduler

_BACKLOG = 128
_MOST_CONNECTIONS = 200  # each takes a few file descriptors
_SPARE = 16  # file descriptors that connections leave free for the regions of calls
_PAUSE = 0.1  # seconds to wait when too many files are open and no connection can be closed


class Lane:
    """The lane: the Unix socket on which the model server takes calls of gpumodels, and its connections.

    The socket is bound when this object is made, before the model is loaded. So clients can connect and wait.
    """

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

    def run_forever(self, scheduler: Scheduler, idle: float) -> NoReturn:
        """Submit calls to the scheduler as they arrive, from the lane, or by gRPC in the scheduler's queue.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that runs the calls.
        idle : float
            Seconds without a call after which the process ends to sleep; `math.inf` for never. The process also ends
            if a holder of the instance asks it to sleep.

        """
        for source in (self._listener.fileno(), scheduler.queue.fd, scheduler.ended.fd):
            self._epoll.register(source, select.EPOLLIN)
        sleep = Sleep(scheduler, idle)
        while True:
            ready = self._epoll.poll(sleep.timeout(self._connections.values()))
            for fd, _ in ready:
                if (connection := self._connections.get(fd)) is not None:
                    self._after(connection, goes_on=connection.serve())
                else:
                    self._take(fd, scheduler)
                while scheduler.full:
                    scheduler.ended.wait()
                    self._take_ended(scheduler)
            if not ready:
                sleep.on_timeout(self._connections.values())

    def unread(self) -> int:
        """Return the number of connections with a request that was not read yet. Any thread may call this.

        All connections that were not accepted yet count as one.
        """
        return sum(
            (fd in self._connections or fd == self._listener.fileno()) and not events & select.EPOLLHUP
            for fd, events in self._epoll.poll(0)
        )

    def others_wait(self, connection: Connection) -> bool:
        """Return True if another connection, or anything else, waits for the loop. Any thread may call this."""
        return any(fd != connection.fd for fd, _ in self._epoll.poll(0))

    def read_on(self, connection: Connection) -> None:
        """Poll and read a connection again, because a call that came on it has ended on another thread.

        Frames that were read before the call began are handled first.
        """
        connection.busy = False
        self._epoll.register(connection.fd, select.EPOLLIN)
        self._after(connection, goes_on=connection.serve(fill=False))

    def out_of_files(self) -> None:
        """Free file descriptors: close the half of the connections without a call that were silent for longest.

        Their clients connect again for the next call.
        """
        silent = self._by_use()
        silent = silent[: len(silent) // 2]
        log(f"too many files are open: {len(silent)} connections that were silent were closed")
        for connection in silent:
            self._end(connection)
        if not silent:
            time.sleep(_PAUSE)  # no connection can be closed, so the author's code must close files first

    def _take(self, fd: int, scheduler: Scheduler) -> None:
        """Handle an event that is not of a connection: a queued call, an ended call, or a new client."""
        if fd == scheduler.queue.fd:
            if (call := scheduler.queue.take()) is not None:
                scheduler.submit(call)
        elif fd == scheduler.ended.fd:
            self._take_ended(scheduler)
        elif fd == self._listener.fileno():
            while self._accept(scheduler):  # all of them, because `unread` counts those not accepted as one
                pass

    def _take_ended(self, scheduler: Scheduler) -> None:
        if (call := scheduler.ended.take()) is not None:
            call.read_on()

    def _after(self, connection: Connection, *, goes_on: bool) -> None:
        """Close the connection unless `goes_on`, after its frames were handled.

        If a call of it now runs on another thread, stop polling it; `read_on` polls it again.
        """
        if not goes_on:
            self._end(connection)
        elif connection.busy:
            self._epoll.unregister(connection.fd)  # registered without events, epoll would still report EPOLLHUP

    def _accept(self, scheduler: Scheduler) -> bool:
        """Accept one connection. Return False if there is none, or if it cannot be accepted."""
        try:
            connected, _ = self._listener.accept()
        except OSError as error:
            if error.errno in frames.TOO_MANY_FILES:
                self.out_of_files()
            return False
        if len(self._connections) >= _MOST_CONNECTIONS and (silent := self._by_use()):
            self._end(silent[0])
        # The system gives a new file the lowest free number, so a high one means that nearly all are in use.
        if connected.fileno() > resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE:
            self.out_of_files()
        connected.setblocking(False)
        connection = Connection(connected, self, scheduler)
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        return True

    def _by_use(self) -> list[Connection]:
        """Return the connections without a running call, those that were silent for longest first.

        Connections on which a holder of the instance watches for the server's sleep come last.
        """
        silent = [each for each in self._connections.values() if not each.busy]
        return sorted(silent, key=lambda each: (each.watches, each.last_used))

    def _end(self, connection: Connection) -> None:
        if self._connections.get(connection.fd) is connection:  # else `out_of_files` has closed it already
            del self._connections[connection.fd]
            self._epoll.unregister(connection.fd)
            connection.close()

    def _forked(self) -> None:
        """Close the connections in a child that the author's code forks: they must end when the server ends."""
        self._listener.close()
        self._epoll.close()
        for connection in self._connections.values():
            connection.close()
