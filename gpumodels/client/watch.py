"""`Watch`: the connection on which a model server announces that it will fall asleep."""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpumodels.client.connection import Connection
from gpumodels.protocol import frames

if TYPE_CHECKING:
    from gpumodels.protocol import Connector, ServerSocket


class Watch:
    """A connection on which the model server announces its sleep. One thread reads it when `fileno()` is readable."""

    def __init__(self, server: ServerSocket) -> None:
        """Connect. Raises OSError if the server has ended."""
        self._connection = Connection(server)
        self._connection.send(frames.WATCH, b"")
        #: A function that returns the connection's file descriptor, or -1 once it is closed.
        self.fileno = self._connection.fileno
        #: True if the server announced at its end that it ended itself to sleep.
        self.asleep = False

    def hear(self) -> bool:
        """Read the connection once. Return True if the server announced that it is about to sleep.

        Raises EOFError when the server has ended.
        """
        try:
            said = [frame.kind for frame in self._connection.unsolicited()]
        except (OSError, ValueError):
            raise EOFError from None
        self.asleep = self.asleep or frames.ASLEEP in said
        return frames.ABOUT_TO_SLEEP in said

    def answer(self) -> None:
        """Answer the announcement that `hear` returned. The server may end from now on."""
        self._send(frames.WATCH)

    def ask_for_sleep(self) -> None:
        """Ask the server to end itself as soon as no call runs."""
        self._send(frames.SLEEP)

    def take_back(self) -> None:
        """Withdraw the request for sleep, if the server has not begun to end."""
        self._send(frames.STAY)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, kind: int) -> None:
        try:
            self._connection.send(kind, b"")
        except OSError:  # the server has ended, and `hear` will notice that
            return


def ask_for_sleep(connector: Connector, within: float) -> bool:
    """Ask a model server to end itself as soon as no call runs. Return True if it ended within `within` seconds.

    Otherwise withdraw the request. Raises OSError if the server has ended already.
    """
    server = connector.find(frames.SOCKET_NAME)
    if server is None:
        raise FileNotFoundError(frames.SOCKET_NAME)
    with closing(Watch(server)) as watch:  # closing the connection withdraws the request
        watch.ask_for_sleep()
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([watch], [], [], left)[0]:
                break
            try:
                if watch.hear():
                    watch.answer()
            except EOFError:
                return True
    return False
