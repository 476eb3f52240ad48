"""`Ticket`: the means to end a call from another thread."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticket:
    """A call that another thread may end. The calling thread and the ending thread share it without a lock."""

    def __init__(self) -> None:
        self.ended = False
        self._cut: Callable[[], None] | None = None

    def take(self, cut: Callable[[], None]) -> None:
        """Record that the call begins; `cut` is the function that ends it.

        Raises CancelledError if the ticket was ended already.
        """
        self._cut = cut
        self.check()

    def check(self) -> None:
        """Raise CancelledError if the call was ended."""
        if self.ended:
            raise CancelledError

    def end(self) -> None:
        """End the call, now or as soon as it begins."""
        self.ended = True
        if self._cut is not None:
            self._cut()
