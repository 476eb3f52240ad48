"""The forwarder: `python -m gpumodels.engines.forward LISTENER DIRECTORY`, so that others' clients reach an instance by
TCP, which the instance itself has none of.

It takes the connections of the listening socket that it inherits and copies bytes between each and the peers' socket in
the directory. It says so when it is ready, and lives as long as the model server: it holds a connection on which nobody
speaks, whose end it hears of from the system, however the server ended.
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

_AGAIN_AFTER = 0.02  # seconds until a server that is too busy to be connected to is tried again


class NotStarted(Exception):
    """What the forwarder said instead of being ready."""


def start(listener: socket.socket, directory: Path, instance_id: str) -> int:
    """Start the forwarder of an instance, wait until it serves, and give its process id; raises NotStarted."""
    path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]))
    reading, writing = os.pipe()
    with open(reading) as heard:  # noqa: PTH123
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "gpumodels.engines.forward", str(listener.fileno()), str(directory)],
                env={**os.environ, "PYTHONPATH": path, processes.MARK: instance_id},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # so that interrupting the notebook's process group misses it
            )
        finally:
            os.close(writing)
        # Nobody else waits for it when it ends, and it would stay as a zombie.
        threading.Thread(target=process.wait, name="gpumodels-forwarder", daemon=True).start()
        try:
            said = heard.read().strip()  # until it is ready, or has ended
        except BaseException:
            process.kill()
            raise
    if said != _READY:
        raise NotStarted((said or "it said nothing").splitlines()[-1])
    return process.pid


class _Side(asyncio.Protocol):
    """One side of a connection. What comes here goes to the other; who cannot be written to is not read for."""

    def __init__(self) -> None:
        self.other: _Side = self
        self.transport: Transport | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # those of sockets are both read and written

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass it on; the connection stays open for what still comes the other way."""
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
    """The side of whoever connected; nothing is read of it until the server's side is there."""

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
        elif server.transport is not None:  # the client left meanwhile
            server.transport.abort()


async def _forward(listener: socket.socket, path: str) -> None:
    """Until the server ends."""
    async with await asyncio.get_running_loop().create_server(lambda: _Client(path), sock=listener):
        while await _listens(path):
            pass


async def _listens(path: str) -> bool:
    """False if nobody listens on the socket; True, after the connection ended, if somebody did when it was made.

    A server may end one that says nothing (gRPC's does so after two minutes).
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
    """Connect to the socket; a Unix one refuses with EAGAIN, which asyncio takes for a beginning, while many wait."""
    connected = socket.socket(socket.AF_UNIX)
    connected.setblocking(False)
    while True:
        try:
            connected.connect(path)
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_AFTER)
        except BaseException:
            connected.close()
            raise
        else:
            return connected


def main() -> NoReturn:
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = files.open_socket(files.open_directory(Path(sys.argv[2])), files.PEERS_SOCKET_NAME)
    path = files.descriptor_path(server)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)  # whose error is the starter's to tell
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two for each connection
    print(_READY, flush=True)  # noqa: T201
    with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123
        for standard in range(3):
            os.dup2(nothing.fileno(), standard)
    asyncio.run(_forward(listener, path))
    sys.exit()


if __name__ == "__main__":
    main()
