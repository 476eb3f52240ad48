"""`Ticket`: the means to end a call from another thread."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticket:
    """An object for one call, by which another thread may end the call. The two threads use it without a lock."""

    def __init__(self) -> None:
        self.ended = False
        self._cut: Callable[[], None] | None = None

    def take(self, cut: Callable[[], None]) -> None:
        """Record that the call begins. `cut` is the function that ends the call.

        The calling thread uses this. Raises CancelledError if another thread has used `end` already.
        """
        self._cut = cut
        self.check()

    def check(self) -> None:
        """Raise CancelledError if the call was ended."""
        if self.ended:
            raise CancelledError

    def end(self) -> None:
        """End the call, now or as soon as it begins. Any thread may use this."""
        self.ended = True
        if self._cut is not None:
            self._cut()
