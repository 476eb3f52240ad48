"""`Watch`: the connection on which a model server announces that it will fall asleep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.client.connection import Connection
from gpumodels.protocol import frames

if TYPE_CHECKING:
    from gpumodels.protocol import ServerSocket


class Watch:
    """A connection for announcements of the model server. One thread reads it, when `fileno` is readable."""

    def __init__(self, server: ServerSocket) -> None:
        """Connect. Raises OSError."""
        self._connection = Connection(server)
        self._connection.send(frames.WATCH, b"")
        #: A function that returns the connection's file descriptor, or -1 once it is closed.
        self.fileno = self._connection.fileno
        #: Whether the server announced at its end that it ended itself to sleep.
        self.asleep = False

    def hear(self) -> bool:
        """Read what came. Return True if the server announced that it is about to sleep. Raises EOFError at its end."""
        try:
            said = [frame.kind for frame in self._connection.unsolicited()]
        except (OSError, ValueError):
            raise EOFError from None
        self.asleep = self.asleep or frames.ASLEEP in said
        return frames.DROWSY in said

    def answer(self) -> None:
        """Answer the announcement: the server may end now."""
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
