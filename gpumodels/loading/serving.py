"""Serving a model to others' clients by TCP, on an address of this machine that no other machine reaches."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
import socket
import time
from typing import TYPE_CHECKING

from gpumodels.errors import LoadFailed, LoadRefused
from gpumodels.lease import processes
from gpumodels.model.endpoint import Endpoint

if TYPE_CHECKING:
    from gpumodels.model import Hold

_LAST_PORT = 65535
_ASKED_EVERY = 0.01  # seconds
_WHY = {
    errno.EADDRINUSE: "it is in use already; name another port, or 0 for a free one",
    errno.EACCES: "this user may not take that port; name one above 1023, or 0 for a free one",
    errno.EADDRNOTAVAIL: "this machine has no such address; try 127.0.0.1",
}


def normal(model: object, address: object) -> str:
    """The address as HOST:PORT with a numeric host; raises LoadRefused for what is none, or not of this machine alone.

    "" for None.
    """
    if address is None:
        return ""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise LoadRefused(f"{model}: serve must be HOST:PORT such as '127.0.0.1:8001', not {address!r}.")
    bare = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        found = None
    if found is None or not found.is_loopback:
        raise LoadRefused(
            f"{model}: it cannot be served at {host}: calls and token would cross the network unencrypted, so only "
            "this machine's own addresses (127.0.0.1, ::1, localhost) are taken. From elsewhere, use `ssh -L`."
        )
    return f"[{found}]:{int(port)}" if found.version == 6 else f"{found}:{int(port)}"  # noqa: PLR2004


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as undone:
        listener = undone.enter_context(socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # despite connections that ended just now
        listener.bind((host.strip("[]"), int(port)))
        listener.listen()
        undone.pop_all()
    return listener


class Door:
    """Where one model is to be served: the address, taken before anything starts, and the token; "" for nowhere."""

    def __init__(self, model: str, address: str) -> None:
        self.model = model
        self.address = address
        self.token = secrets.token_urlsafe(32) if address else ""
        self._listener: socket.socket | None = None

    def open(self, within: float = 0.0) -> None:
        """Take the address, once; raises LoadRefused where it cannot be had in so many seconds."""
        deadline = time.monotonic() + within
        while self._listener is None and self.address:
            try:
                self._listener = _listen(self.address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                    time.sleep(_ASKED_EVERY)
                    continue
                why = _WHY.get(error.errno or 0, error.strerror)
                raise LoadRefused(f"{self.model} cannot be served at {self.address}: {why}.") from None
            self.address = f"{self.address.rpartition(':')[0]}:{self._listener.getsockname()[1]}"

    def serve(self, hold: Hold) -> Endpoint | None:
        """Lead whoever comes to the instance, in a process that ends with it; raises LoadFailed where it cannot be."""
        if self._listener is None:
            return None
        from gpumodels.engines import forward  # noqa: PLC0415 (its asyncio is only for those who serve)

        try:
            pid = forward.start(self._listener, hold.directory.socket, hold.record.id)
        except forward.NotStarted as error:
            raise LoadFailed(
                f"{self.model} was loaded, but nobody can be led to it from {self.address}: {error}."
            ) from None
        self.close()
        return Endpoint(self.model, self.address, self.token, (pid, processes.start_time(pid)))

    def close(self) -> None:
        """Give the address back, or leave it to the process that serves there."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
