"""The lane's loop: the main thread polls the connections, reads requests and submits them to the scheduler.

With the default scheduler the loop's thread runs the call itself, so a call costs two wake-ups, the server's and the
client's. Nobody reads meanwhile: what comes waits in the sockets. With more slots the loop reads on, other connections
than those whose calls run, until the scheduler is full.
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
_MOST_CONNECTIONS = 200  # each takes a few descriptors
_SPARE = 16  # descriptors for the regions of calls, which connections do not get
_PAUSE = 0.1  # seconds without a new connection when files are short and none of them can be closed


class Lane:
    """The lane's socket and its connections. Binds at once; answers when there is a model."""

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
        """Submit the calls that come, on the lane and in the scheduler's queue.

        Parameters
        ----------
        scheduler : Scheduler
            Runs the calls.
        idle : float
            Seconds without a call after which the process ends; `math.inf` for never. It also ends when a holder of
            the instance asks for that.

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
        """Return how many connections have a request that nobody has read. Any thread may ask.

        New connections that were not accepted count as one.
        """
        return sum(
            (fd in self._connections or fd == self._listener.fileno()) and not events & select.EPOLLHUP
            for fd, events in self._epoll.poll(0)
        )

    def others_wait(self, connection: Connection) -> bool:
        """Return True if there is anything to read or take besides this connection. Any thread may ask."""
        return any(fd != connection.fd for fd, _ in self._epoll.poll(0))

    def read_on(self, connection: Connection) -> None:
        """Read a connection whose call has ended on another thread, first what was read before the call began."""
        connection.busy = False
        self._epoll.register(connection.fd, select.EPOLLIN)
        self._after(connection, goes_on=connection.serve(fill=False))

    def out_of_files(self) -> None:
        """End the half of the connections that were silent longest. A client that calls there again connects anew."""
        silent = self._by_use()
        silent = silent[: len(silent) // 2]
        log(f"too many files are open: {len(silent)} connections that were silent were closed")
        for connection in silent:
            self._end(connection)
        if not silent:
            time.sleep(_PAUSE)  # whoever has the files open is not a connection of ours

    def _take(self, fd: int, scheduler: Scheduler) -> None:
        """Take what came elsewhere than on a connection."""
        if fd == scheduler.queue.fd:
            if (call := scheduler.queue.take()) is not None:
                scheduler.submit(call)
        elif fd == scheduler.ended.fd:
            self._take_ended(scheduler)
        elif fd == self._listener.fileno():
            while self._accept(scheduler):  # all of them: those not accepted are not counted as waiting
                pass

    def _take_ended(self, scheduler: Scheduler) -> None:
        if (call := scheduler.ended.take()) is not None:
            call.read_on()

    def _after(self, connection: Connection, *, goes_on: bool) -> None:
        """Do what a connection that was served needs: end it, or leave it alone while its call runs elsewhere."""
        if not goes_on:
            self._end(connection)
        elif connection.busy:
            self._epoll.unregister(connection.fd)  # not only without events: the end of a client (HUP) is always told

    def _accept(self, scheduler: Scheduler) -> bool:
        """Accept one connection; return False if there is none or it cannot be had."""
        try:
            connected, _ = self._listener.accept()
        except OSError as error:
            if error.errno in frames.TOO_MANY_FILES:
                self.out_of_files()
            return False
        if len(self._connections) >= _MOST_CONNECTIONS and (silent := self._by_use()):
            self._end(silent[0])
        if connected.fileno() > resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE:  # the lowest that is free
            self.out_of_files()
        connected.setblocking(False)
        connection = Connection(connected, self, scheduler)
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        return True

    def _by_use(self) -> list[Connection]:
        """Return the connections without a running call: silent for longest first, watchers last."""
        silent = [each for each in self._connections.values() if not each.busy]
        return sorted(silent, key=lambda each: (each.watches, each.last_used))

    def _end(self, connection: Connection) -> None:
        if self._connections.get(connection.fd) is connection:  # else `out_of_files` has ended it already
            del self._connections[connection.fd]
            self._epoll.unregister(connection.fd)
            connection.close()

    def _forked(self) -> None:
        """Close the connections in a child that the author's code forks: they must end with the server."""
        self._listener.close()
        self._epoll.close()
        for connection in self._connections.values():
            connection.close()
