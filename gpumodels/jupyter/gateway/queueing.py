"""The queue of the calls of one model, with a limit on running and on waiting calls."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LATER = 1  # seconds; the Retry-After of a call that is refused because the queue is full


class Queue:
    """The queue of one model. At most `at_once` calls run at the same time. Use it on the event loop only."""

    def __init__(self, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self.inside = 0  # the calls that run or wait

    def enter(self, model: str, limit: int) -> None:
        """Add a call, which must `leave` later. Raises Refused if the queue holds `limit` calls already."""
        if self.inside >= limit:
            raise Refused(429, f"{self.inside} calls of {model} run or wait already: try again later", _LATER)
        self.inside += 1

    def leave(self) -> None:
        """Remove a call, answered or not."""
        self.inside -= 1

    async def in_turn(self, act: Callable[[], T]) -> T:
        """Wait for a turn, then call `act` in a thread and return its result.

        The turn ends when `act` returns, even if the task that waits for it was cancelled before.
        """
        loop = asyncio.get_running_loop()
        await self._turns.acquire()

        def work() -> T:
            try:
                return act()
            finally:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._turns.release)

        return await in_thread(work)
