"""Instances on this machine. Their sockets lie in a directory of this user."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.engines.base import Instance
from gpumodels.protocol import files

if TYPE_CHECKING:
    from gpumodels.lease import InstanceDirectory, InstanceRecord


class LocalSocket(files.Descriptor):
    """A Unix socket of a model server. It is opened once, and connections are made through its descriptor."""

    @property
    def grpc_target(self) -> str:
        """The address of a gRPC channel to the socket."""
        return f"unix:{self.path}"

    def connect(self) -> socket.socket:
        """Return a new blocking connection; see `protocol.connector.ServerSocket`."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            connection.connect(self.path)
            connection.setblocking(True)
        except BaseException:
            connection.close()
            raise
        return connection


class LocalConnector:
    """The sockets in a directory of this machine; see `protocol.connector.Connector`."""

    def __init__(self, sockets: Path, shared_memory: Path | None) -> None:
        """Open the directory of the sockets. Raises OSError if it is gone."""
        self._sockets = files.Descriptor(files.open_directory(sockets))
        self._shared_memory = shared_memory

    @property
    def shared_memory(self) -> files.Descriptor | None:
        """The directory of shared memory files; None if there is none. Raises OSError if it is gone."""
        if self._shared_memory is None:
            return None
        return files.Descriptor(files.open_directory(self._shared_memory))

    def find(self, name: str) -> LocalSocket | None:
        """Return the socket with the file name `name`, or None while no server listens on it.

        Connect to the socket to find that out. A gRPC channel to a socket without a listener would wait a second before
        it tried again.
        """
        try:
            found = LocalSocket(files.open_socket(self._sockets.fd, name))
        except FileNotFoundError:  # not bound yet
            return None
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # `connect` would block while the server's queue of connections is full
            return found if probe.connect_ex(found.path) == 0 else None


class LocalInstance(Instance):
    """An instance on this machine. This process can open its sockets and its shared memory."""

    def __init__(self, record: InstanceRecord, directory: InstanceDirectory) -> None:
        self.id = record.id
        self._directory = directory
        self._shared_memory = Path(record.shared_memory) if record.shared_memory else None

    def connector(self) -> LocalConnector:
        return LocalConnector(self._directory.socket, self._shared_memory)

    def forward(self, listener: socket.socket) -> int:
        from gpumodels.engines import forward  # noqa: PLC0415  (asyncio is only needed for served instances)

        return forward.start(listener, self._directory.socket, self.id)
