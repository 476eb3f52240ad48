"""A relay to the daemon's socket: it forwards bytes, counts connections, and lets a test intervene."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _nothing(_data: bytes) -> None:
    pass


@contextmanager
def relayed(at: Path, to: str, before: Callable[[bytes], None] = _nothing) -> Iterator[Callable[[], int]]:
    """Listen at `at` and forward each connection to the socket `to`. Yield a function that returns their number.

    `before` is called with the bytes of a client before they are forwarded. If it raises ConnectionError, the relay
    cuts the connection.
    """
    connections: list[socket.socket] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(at))
    listener.listen()
    accepting = threading.Thread(target=_accept, args=(listener, to, connections, before), daemon=True)
    accepting.start()
    try:
        yield lambda: len(connections) // 2
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for each in (listener, *connections):
            each.close()


def _accept(
    listener: socket.socket, to: str, connections: list[socket.socket], before: Callable[[bytes], None]
) -> None:
    with suppress(OSError):  # shutting the listener down ends the loop
        while True:
            caller, _ = listener.accept()
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(to)
            connections += [caller, daemon]
            for way in ((caller, daemon, before), (daemon, caller, _nothing)):
                threading.Thread(target=_forward, args=way, daemon=True).start()


def _forward(source: socket.socket, target: socket.socket, before: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            try:
                before(data)
            except ConnectionError:
                source.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
