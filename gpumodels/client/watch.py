"""`Watch`: the connection on which a holder hears that its model server falls asleep, before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.client.line import Line
from gpumodels.protocol import frames

if TYPE_CHECKING:
    from gpumodels.client.descriptors import Descriptor


class Watch:
    """Read by one thread, when `fileno` is readable."""

    def __init__(self, server: Descriptor) -> None:
        """Connect; raises OSError."""
        self._line = Line(server)
        self._line.send(frames.WATCH, b"")
        #: Whether the server's last word was that it ended itself to sleep.
        self.asleep = False

    def fileno(self) -> int:
        return self._line.fileno()

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
