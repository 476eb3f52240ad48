"""`Ticket`: how another thread ends a call that runs."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticket:
    """Held by the thread that calls and by the one that may want to end the call; needs no lock."""

    def __init__(self) -> None:
        self.ended = False
        self._cut: Callable[[], None] | None = None

    def take(self, cut: Callable[[], None]) -> None:
        """The call begins, and `cut` would end it; raises CancelledError where that is wanted already."""
        self._cut = cut
        self.check()

    def check(self) -> None:
        """Raise CancelledError where the call was ended."""
        if self.ended:
            raise CancelledError

    def end(self) -> None:
        """End the call, now or as soon as it begins."""
        self.ended = True
        if self._cut is not None:
            self._cut()
