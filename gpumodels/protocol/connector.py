"""The interface between engines and client: access to the sockets of one model server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from gpumodels.protocol.files import Descriptor


class ServerSocket(Protocol):
    """A socket on which a model server listens. The object keeps to this socket even if another takes its file name."""

    @property
    def grpc_target(self) -> str:
        """The address of a gRPC channel to the socket, valid as long as this object lives."""

    def connect(self) -> socket.socket:
        """Return a new blocking connection.

        Raises BlockingIOError while the server's queue of new connections is full, and OSError if the server has ended.
        """


class Connector(Protocol):
    """Access to the sockets of one model server, made by its engine. Safe to use from threads and forked children."""

    @property
    def shared_memory(self) -> Descriptor | None:
        """The directory of shared memory files for calls by gRPC; None if the server sees no files of this machine."""

    def find(self, name: str) -> ServerSocket | None:
        """Return the model server's socket with the file name `name`. Return None if no process listens on that socket.

        Raises OSError if the file is not a socket, or its owner is neither this user nor the user of the instance.
        """
