"""Who may call one model now: so many at once, so many waiting, and nobody beyond."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Seconds after which one that was sent away may come again.
_LATER = 1


class Queue:
    """Of one model. Used on the event loop alone."""

    def __init__(self, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self.inside = 0

    def enter(self, model: str, limit: int) -> None:
        """Come in, before anything is read; raises Refused where `limit` are inside. Who is in must `leave`."""
        if self.inside >= limit:
            raise Refused(429, f"{self.inside} calls of {model} are under way or wait: try again later", _LATER)
        self.inside += 1

    def leave(self) -> None:
        """Go, answered or not."""
        self.inside -= 1

    async def in_turn(self, act: Callable[[], T]) -> T:
        """Do it in a thread when it is one's turn, which lasts until the thread is done, also where nobody waits."""
        loop = asyncio.get_running_loop()
        await self._turns.acquire()

        def work() -> T:
            try:
                return act()
            finally:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._turns.release)

        return await in_thread(work)
