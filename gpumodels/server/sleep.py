"""Sleep: a model that nobody calls gives its memory back, as the whole process ends and its holders know why.

The clock is the server's own, so it runs even while the notebook's kernel is busy or stopped. A call that comes while
the server is about to end keeps it awake. A call that comes too late was not read, and its client sees that it had not
begun.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn, Protocol

from gpumodels.protocol import frames
from gpumodels.server.calls import ClientGone, log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.server.scheduler import Scheduler

#: The exit code of a server that ended itself to sleep.
EXIT_CODE = 96

_ANSWER_LIMIT = 2.0  # seconds for the holders to look at the memory; one whose kernel is busy misses it
_LOOK_INTERVAL = 0.02  # seconds between two looks at whether they did


class Watcher(Protocol):
    """The part of a connection that matters for sleep. See `connection.Connection`."""

    watches: bool
    wants_sleep: bool
    answered: bool

    def send(self, kind: int, /) -> None:
        """Send a frame without a body; raises ClientGone."""


class Sleep:
    """The idle clock. The loop asks it how long to wait, and tells it when nothing came in that time."""

    def __init__(self, scheduler: Scheduler, idle: float) -> None:
        self._scheduler = scheduler
        self._idle = idle
        self._announced = 0.0  # when the holders were told, in time.monotonic() seconds

    def timeout(self, connections: Iterable[Watcher]) -> float | None:
        """Return how many seconds to wait for events; None for no limit."""
        idle_since = self._scheduler.idle_since
        if idle_since is None:
            return None  # a call runs on another thread; its end is an event
        if self._announced > idle_since:
            return _LOOK_INTERVAL if _await_answers(connections) else 0.0
        if any(each.wants_sleep for each in connections):
            return 0.0
        left = idle_since + self._idle - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    def on_timeout(self, connections: Iterable[Watcher]) -> None:
        """Tell the holders that the server is about to end, or end it if they have answered.

        A call that ends after they were told starts the clock anew.
        """
        now = time.monotonic()
        idle_since = self._scheduler.idle_since
        if idle_since is None:
            return
        if self._announced <= idle_since:
            self._announced = now
            for each in connections:
                if each.watches and each.answered:  # one that did not answer the last time is not told again
                    each.answered = not _send(each, frames.ABOUT_TO_SLEEP)
        elif not _await_answers(connections) or now > self._announced + _ANSWER_LIMIT:
            self._end(connections, now - idle_since)

    def _end(self, connections: Iterable[Watcher], idle: float) -> NoReturn:
        watching = [each for each in connections if each.watches]
        asked = any(each.wants_sleep for each in watching)
        name = self._scheduler.model.name
        log(f"{name} falls asleep {'as it was told' if asked else f'after {idle:.0f} s without a call'}")
        sys.stdout.flush()
        for each in watching:
            _send(each, frames.ASLEEP)
        os._exit(EXIT_CODE)  # threads that the author's code left behind must not hold this up


def _await_answers(connections: Iterable[Watcher]) -> bool:
    return any(each.watches and not each.answered for each in connections)


def _send(watcher: Watcher, kind: int) -> bool:
    """Send a frame; return False if the holder has left."""
    try:
        watcher.send(kind)
    except ClientGone:
        return False
    return True
