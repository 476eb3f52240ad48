"""Serving a model to other clients by TCP, at an address that only this machine can reach."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import time
from typing import TYPE_CHECKING, Self, cast

from gpumodels.errors import LoadFailed, LoadRefused
from gpumodels.lease import processes
from gpumodels.model import Endpoint

if TYPE_CHECKING:
    from gpumodels.engines import Instance

_POLL = 0.01  # seconds between two attempts to listen
_WHY = {
    errno.EADDRINUSE: "it is in use already; name another port, or 0 for a free one",
    errno.EACCES: "this user may not take that port; name one above 1023, or 0 for a free one",
    errno.EADDRNOTAVAIL: "this machine has no such address; try 127.0.0.1",
}


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as undone:
        listener = undone.enter_context(socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else connections that just ended block it
        listener.bind((host.strip("[]"), int(port)))
        listener.listen()
        undone.pop_all()
    return listener


class Listener:
    """The listening socket for the clients of one model, and their token. It is opened before the model starts.

    As a context manager it closes this process's socket at the end.
    """

    def __init__(self, model: str, address: str) -> None:
        self.model = model
        self.address = address
        self.token = secrets.token_urlsafe(32)
        self._socket: socket.socket | None = None

    def open(self, within: float = 0.0) -> None:
        """Listen on the address, unless that is done. Raises LoadRefused if it is not free in `within` seconds."""
        deadline = time.monotonic() + within
        while self._socket is None:
            try:
                self._socket = _listen(self.address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                    time.sleep(_POLL)
                    continue
                why = _WHY.get(error.errno or 0, error.strerror)
                raise LoadRefused(f"{self.model} cannot be served at {self.address}: {why}.") from None
            self.address = f"{self.address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self, instance: Instance) -> Endpoint:
        """Start the forwarder, a process that connects clients with the instance and ends with it.

        The listener must be open. Raises LoadFailed.
        """
        from gpumodels.engines import NotStarted  # noqa: PLC0415 (its asyncio is only for served models)

        try:
            pid = instance.forward(cast("socket.socket", self._socket))
        except NotStarted as error:
            raise LoadFailed(f"{self.model} was loaded, but it cannot be served at {self.address}: {error}.") from None
        self.close()
        return Endpoint(self.model, self.address, self.token, (pid, processes.start_time(pid)))

    def close(self) -> None:
        """Close the socket of this process. The forwarder has a copy of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
