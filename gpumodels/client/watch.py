"""`Watch`: the connection on which a holder hears that its model server falls asleep, before it does."""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpumodels.client.line import Line
from gpumodels.protocol import frames

if TYPE_CHECKING:
    from gpumodels.protocol import Connector, ServerSocket


class Watch:
    """Read by one thread, when `fileno` is readable."""

    def __init__(self, server: ServerSocket) -> None:
        """Connect; raises OSError."""
        self._line = Line(server)
        self._line.send(frames.WATCH, b"")
        #: Returns the number of the connection's descriptor; -1 once it is closed.
        self.fileno = self._line.fileno
        #: Whether the server's last word was that it ended itself to sleep.
        self.asleep = False

    def hear(self) -> bool:
        """Read what came; whether the server has just said that it is about to end. Raises EOFError when it has."""
        try:
            said = [frame.kind for frame in self._line.heard()]
        except (OSError, ValueError):
            raise EOFError from None
        self.asleep = self.asleep or frames.ASLEEP in said
        return frames.ABOUT_TO_SLEEP in said

    def answer(self) -> None:
        """Tell the server that it may end now, as far as we are concerned."""
        self._send(frames.WATCH)

    def ask_for_sleep(self) -> None:
        """Ask the server to end itself as soon as no call runs."""
        self._send(frames.SLEEP)

    def take_back(self) -> None:
        """Ask it no more, if it has not begun to."""
        self._send(frames.STAY)

    def close(self) -> None:
        """Watch no more."""
        self._line.close()

    def _send(self, kind: int) -> None:
        try:
            self._line.send(kind, b"")
        except OSError:  # it has ended, which will be heard
            return


def ask_for_sleep(connector: Connector, within: float) -> bool:
    """Ask a model server to end itself as soon as no call runs. Return True if it did, within so many seconds.

    Otherwise the wish is withdrawn. Raises OSError if the server has ended already.
    """
    server = connector.find(frames.SOCKET_NAME)
    if server is None:
        raise FileNotFoundError(frames.SOCKET_NAME)
    with closing(Watch(server)) as watch:  # closing the connection withdraws the wish
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
