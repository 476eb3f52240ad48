"""The forwarder, a process that forwards TCP connections to an instance, which has no network.

    python -m gpumodels.engines.forward LISTENER DIRECTORY

LISTENER is the file descriptor of a listening socket, which the forwarder inherits. The forwarder copies bytes between
each accepted connection and the model server's socket `peers.sock` in DIRECTORY. It prints "ready" when it accepts
connections. It ends with the model server: it keeps an idle connection to the server, and the operating system closes
that connection when the server ends, for any reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gpumodels.lease import processes
from gpumodels.protocol import files

if TYPE_CHECKING:
    from asyncio import Transport

_READY = "ready"
_PACKAGE_ROOT = str(Path(__file__).parents[2])

_RETRY_AFTER = 0.02  # seconds, if the server's queue of waiting connections is full


class NotStarted(Exception):
    """The forwarder did not become ready. The message is the last line that it printed."""


def start(listener: socket.socket, directory: Path, instance_id: str) -> int:
    """Start the forwarder of an instance, wait until it accepts connections, and return its process id.

    `directory` is the directory of the model server's sockets. Raises NotStarted.
    """
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]))
    reading, writing = os.pipe()
    with open(reading) as output:  # noqa: PTH123
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "gpumodels.engines.forward", str(listener.fileno()), str(directory)],
                env={**os.environ, "PYTHONPATH": path, processes.INSTANCE_MARK: instance_id},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # an interrupt of the notebook's process group must not reach the forwarder
            )
        finally:
            os.close(writing)
        # Without this wait the forwarder would stay as a zombie after its end.
        threading.Thread(target=process.wait, name="gpumodels-forwarder", daemon=True).start()
        try:
            printed = output.read().strip()  # returns when the forwarder closes its output, at its end or when ready
        except BaseException:
            process.kill()
            raise
    if printed != _READY:
        raise NotStarted((printed or "it printed nothing").splitlines()[-1])
    return process.pid


class _Side(asyncio.Protocol):
    """One side of a forwarded connection. The bytes that it receives are written to the other side.

    This side does not read while the other side's buffer is full.
    """

    def __init__(self) -> None:
        self.other: _Side = self
        self.transport: Transport | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a socket's transport reads and writes

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Close the output of the other side. The connection stays open until both directions have ended."""
        self.ended = True
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return not self.other.ended

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.other.transport is not None:
            self.other.transport.abort() if error else self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()


class _Client(_Side):
    """The client's side. It reads nothing until the server's side is connected."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.pause_reading()  # type: ignore[attr-defined]
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        self.other = server = _Side()
        server.other = self
        try:
            connected = await _connect(self._path)
            await asyncio.get_running_loop().create_unix_connection(lambda: server, sock=connected)
        except OSError:
            if self.transport is not None:
                self.transport.abort()
            return
        if self.transport is not None:
            self.transport.resume_reading()
        elif server.transport is not None:  # the client has disconnected meanwhile
            server.transport.abort()


async def _forward(listener: socket.socket, path: str) -> None:
    """Forward connections of the listener to the socket at `path`, until the server ends."""
    async with await asyncio.get_running_loop().create_server(lambda: _Client(path), sock=listener):
        while await _listens(path):
            pass


async def _listens(path: str) -> bool:
    """Connect to the server and wait until it closes the connection. Return False if the server does not listen.

    A server may close an idle connection while it runs: gRPC's does so after two minutes.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(sock=await _connect(path))
    except ConnectionRefusedError:
        return False
    with contextlib.suppress(OSError):
        await reader.read()
    writer.close()
    return True


async def _connect(path: str) -> socket.socket:
    """Connect to a Unix socket and return the connection.

    While the queue of the socket is full, `connect` fails with EAGAIN (unix(7)), which asyncio mistakes for a
    connection in progress. So it is retried here.
    """
    connected = socket.socket(socket.AF_UNIX)
    connected.setblocking(False)
    while True:
        try:
            connected.connect(path)
        except BlockingIOError:
            await asyncio.sleep(_RETRY_AFTER)
        except BaseException:
            connected.close()
            raise
        else:
            return connected


def main() -> NoReturn:
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = files.Descriptor(files.open_socket(files.open_directory(Path(sys.argv[2])), files.PEERS_SOCKET_NAME))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(server.path)  # an error here ends the process, and `start` raises NotStarted with it
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection needs two descriptors
    print(_READY, flush=True)  # noqa: T201
    with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123
        for standard in range(3):
            os.dup2(nothing.fileno(), standard)
    asyncio.run(_forward(listener, server.path))
    sys.exit()


if __name__ == "__main__":
    main()
