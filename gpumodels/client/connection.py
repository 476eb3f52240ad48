"""A gRPC channel to the socket in an instance's directory.

It belongs to the process that made it: a forked child inherits gRPC's state without its threads, so there nothing of it
may be called, not even its end.
"""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc

from gpumodels.client.directory import Directory
from gpumodels.protocol import files, messages

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = [
    *messages.CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),  # a call that has begun is never sent twice
    ("grpc.enable_http_proxy", 0),
    # Two clients may bear one address, /proc/self/fd/N after N was closed and reused, and must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
]

#: Channels that are open, held here so that a forked child never drops the last reference to one.
_open: set[grpc.Channel] = set()


class Connection:
    """The directory's descriptor and, once the socket is there, the channel; `stub` has the protocol's methods."""

    def __init__(self, directory: Path) -> None:
        self._directory = Directory(directory)
        self._channel: grpc.Channel | None = None
        self.stub: SimpleNamespace = SimpleNamespace()

    def open(self) -> bool:
        """Make the channel if somebody listens on the socket; False where nobody does yet.

        Asked first, because a channel that found no socket would wait a second before it tries again.
        """
        if self._channel is None and self._answers():
            self._channel = grpc.insecure_channel(f"unix:{files.socket_path(self._directory.fd)}", options=_OPTIONS)
            self.stub = messages.stub(self._channel)
            _open.add(self._channel)
        return self._channel is not None

    def close(self) -> None:
        """End it; running calls end with CANCELLED."""
        if self._channel is not None:
            self._channel.close()
            _open.discard(self._channel)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(files.socket_path(self._directory.fd)) == 0
