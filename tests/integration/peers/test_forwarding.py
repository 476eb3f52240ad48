"""The forwarder alone, with a plain server on the peers' socket: bytes, ends of connections, end of the forwarder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from gpumodels.engines import forward
from gpumodels.lease.processes import start_time
from gpumodels.model.endpoint import Endpoint
from gpumodels.protocol import files
from tests.leftovers import until


class Server:
    """A server on the peers' socket. It runs `handle` on each connection, on a thread of its own."""

    def __init__(self, directory, handle):
        self.listener = socket.socket(socket.AF_UNIX)
        descriptor = files.open_directory(directory)
        self.listener.bind(files.socket_path(descriptor, files.PEERS_SOCKET_NAME))
        os.close(descriptor)
        self.listener.listen()
        self.connections = []
        self._handle = handle
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            self._handle(connection)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # the connection has ended already
                connection.shutdown(socket.SHUT_RDWR)  # a thread that reads the connection returns too
            connection.close()
        self.connections.clear()


def echo(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    connection.sendall(b"end")
    connection.shutdown(socket.SHUT_WR)


class Forwarder:
    """A running forwarder. `connect()` opens a connection through it."""

    def __init__(self, directory):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.address = listener.getsockname()
            self.pid = forward.start(listener, directory, "test")
        self._endpoint = Endpoint("", "", "", (self.pid, start_time(self.pid)))

    @property
    def alive(self):
        return self._endpoint.alive

    def connect(self):
        return socket.create_connection(self.address, timeout=30)

    def close(self):
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            until(lambda: not self.alive)


@pytest.fixture
def between(tmp_path):
    """A function `between(handle)` that starts a server and a forwarder to it.

    The path of their directory is longer than the limit for a socket's path.
    """
    made = []

    def start(handle):
        directory = tmp_path / ("d" * 150)
        directory.mkdir()
        made.append(Server(directory, handle))
        made.append(Forwarder(directory))
        return made

    yield start
    for each in reversed(made):
        each.close()


def received(connection):
    """Return all bytes that come until the other side stops sending."""
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def test_bytes_arrive_also_after_the_other_direction_has_ended(between):
    _, forwarder = between(echo)
    with forwarder.connect() as connection:
        connection.sendall(b"some bytes")
        connection.shutdown(socket.SHUT_WR)
        assert received(connection) == b"some bytesend"


def test_many_connections_at_once_are_forwarded(between):
    _, forwarder = between(echo)
    connections = [forwarder.connect() for _ in range(300)]
    for number, connection in enumerate(connections):
        connection.sendall(b"%d" % number)
    for number, connection in enumerate(connections):
        connection.shutdown(socket.SHUT_WR)
        assert received(connection) == b"%dend" % number
        connection.close()


def test_a_hundred_megabytes_arrive_whole_both_ways(between):
    _, forwarder = between(echo)
    sent = os.urandom(1 << 20) * 100
    with forwarder.connect() as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        assert received(connection) == sent + b"end"
        sender.join()


def test_the_forwarder_buffers_little_for_a_side_that_does_not_read(between):
    server, forwarder = between(lambda connection: time.sleep(60))

    def resident():
        return int(Path(f"/proc/{forwarder.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    with forwarder.connect() as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.sendall(bytes(1 << 28))
        assert resident() - before < 16 << 20
    until(lambda: server.connections)


def test_the_server_notices_that_a_client_has_left(between):
    left = threading.Event()

    def wait(connection):
        connection.recv(10)
        if not received(connection):
            left.set()

    _, forwarder = between(wait)
    with forwarder.connect() as connection:
        connection.sendall(b"hello")
    assert left.wait(30)


def test_a_client_notices_that_the_server_has_cut_its_connection(between):
    server, forwarder = between(lambda connection: (connection.recv(1), connection.close()))
    with forwarder.connect() as connection:
        connection.sendall(b"x")
        assert received(connection) == b""
    assert forwarder.alive
    assert server.connections


def test_the_forwarder_and_all_connections_end_with_the_server(between):
    server, forwarder = between(echo)
    with forwarder.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        server.close()
        assert received(connection) == b""
    until(lambda: not forwarder.alive)
    with pytest.raises(ConnectionRefusedError):
        forwarder.connect()


def test_the_forwarder_goes_on_when_the_server_ends_its_silent_connection(between):
    server, forwarder = between(echo)
    for count in range(2, 5):  # the first one was the probe before the forwarder was ready
        until(lambda count=count: len(server.connections) >= count)
        server.connections[count - 1].shutdown(socket.SHUT_RDWR)
    with forwarder.connect() as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    assert forwarder.alive


def test_the_forwarder_does_not_start_without_a_listening_socket_of_the_server(tmp_path):
    with pytest.raises(forward.NotStarted, match="FileNotFoundError"):
        Forwarder(tmp_path)
    (tmp_path / files.PEERS_SOCKET_NAME).symlink_to("/run/docker.sock")
    with pytest.raises(forward.NotStarted, match=r"peers.sock is not a socket of the model server"):
        Forwarder(tmp_path)
    (tmp_path / files.PEERS_SOCKET_NAME).unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / files.PEERS_SOCKET_NAME))
        with pytest.raises(forward.NotStarted, match="ConnectionRefusedError"):
            Forwarder(tmp_path)
