"""A gRPC channel to the socket in an instance's directory.

It belongs to the process that made it: a forked child inherits gRPC's state without its threads, so there nothing of it
may be called, not even its end.
"""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc

from gpumodels.client import descriptors
from gpumodels.protocol import files, methods

if TYPE_CHECKING:
    from pathlib import Path

    from gpumodels.client.descriptors import Descriptor

_OPTIONS = [
    *methods.CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),  # a call that has begun is never sent twice
    ("grpc.enable_http_proxy", 0),
    # Two clients may bear one address, /proc/self/fd/N after N was closed and reused, and must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
]

#: Channels that are open, held here so that a forked child never drops the last reference to one.
_open: set[grpc.Channel] = set()


class Connection:
    """The directory's descriptor and, once the socket is there, the channel; `stub` has the protocol's methods.

    The socket is opened once: a channel that connects anew reaches the same server or nobody.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = descriptors.directory(directory)
        self._socket: Descriptor | None = None
        self._channel: grpc.Channel | None = None
        self.stub: SimpleNamespace = SimpleNamespace()

    def open(self) -> bool:
        """Make the channel if somebody listens on the socket; False where nobody does yet.

        Asked first, because a channel that found no socket would wait a second before it tries again. Raises
        BadFile (an OSError) where something else lies in the socket's place.
        """
        if self._channel is None and (found := self._find()) is not None:
            self._socket = found
            self._channel = grpc.insecure_channel(f"unix:{files.descriptor_path(found.fd)}", options=_OPTIONS)
            self.stub = methods.stub(self._channel)
            _open.add(self._channel)
        return self._channel is not None

    def close(self) -> None:
        """End it; running calls end with CANCELLED."""
        if self._channel is not None:
            self._channel.close()
            _open.discard(self._channel)

    def _find(self) -> Descriptor | None:
        """The socket, if somebody listens on it."""
        try:
            found = descriptors.server_socket(self._directory)
        except FileNotFoundError:  # not bound yet
            return None
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # a server that accepts nobody would hold us up
            return found if probe.connect_ex(files.descriptor_path(found.fd)) == 0 else None
