"""Serving a model to others' clients by TCP, on an address that only this machine reaches."""

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

_POLL = 0.01  # seconds
_WHY = {
    errno.EADDRINUSE: "it is in use already; name another port, or 0 for a free one",
    errno.EACCES: "this user may not take that port; name one above 1023, or 0 for a free one",
    errno.EADDRNOTAVAIL: "this machine has no such address; try 127.0.0.1",
}


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as undone:
        listener = undone.enter_context(socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # despite connections that ended just now
        listener.bind((host.strip("[]"), int(port)))
        listener.listen()
        undone.pop_all()
    return listener


class Listener:
    """The address that one model is served at, taken before anything starts, and its token.

    As a context manager it closes the address here at the end.
    """

    def __init__(self, model: str, address: str) -> None:
        self.model = model
        self.address = address
        self.token = secrets.token_urlsafe(32)
        self._socket: socket.socket | None = None

    def open(self, within: float = 0.0) -> None:
        """Take the address, once. Raises LoadRefused if it is not free within so many seconds."""
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
        """Start a process that leads clients to the instance and ends with it; the address must be open.

        Raises LoadFailed.
        """
        from gpumodels.engines import NotStarted  # noqa: PLC0415 (its asyncio is only for served models)

        try:
            pid = instance.forward(cast("socket.socket", self._socket))
        except NotStarted as error:
            raise LoadFailed(
                f"{self.model} was loaded, but nobody can be led to it from {self.address}: {error}."
            ) from None
        self.close()
        return Endpoint(self.model, self.address, self.token, (pid, processes.start_time(pid)))

    def close(self) -> None:
        """Close the address here. The process that serves there keeps its own copy."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
