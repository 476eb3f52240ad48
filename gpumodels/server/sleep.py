"""When a model that nobody calls gives its memory back: the whole process ends, and its holders know why.

The clock is the server's own, so it runs whatever the notebook's kernel does. A call that comes while the server is
about to end keeps it awake; one that comes too late was not read, and its client sees that it had not begun.
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

    from gpumodels.server.calls import Model

#: The exit code of a server that ended itself to sleep.
EXIT_CODE = 96

_ANSWERED_WITHIN = 2.0  # seconds for the holders to look at the memory; one whose kernel is busy misses it
_LOOK = 0.02  # seconds between two looks at whether they did


class Watcher(Protocol):
    """A connection, as far as sleep is concerned."""

    watches: bool
    wants_sleep: bool
    #: Whether it has nothing more to say to what it was told.
    knows: bool

    def send(self, kind: int, /) -> None:
        """Send a frame without a body."""


class Sleep:
    """Asked how long to wait for the next event, and told when none came."""

    def __init__(self, model: Model, idle: float) -> None:
        self._model = model
        self._idle = idle
        self._told_at = 0.0

    def next_look(self, connections: Iterable[Watcher]) -> float | None:
        """Seconds to wait for events; None for as long as it takes."""
        if self._told_at > self._model.last_called:
            return _LOOK if _await_answers(connections) else 0.0
        if any(each.wants_sleep for each in connections):
            return 0.0
        left = self._model.last_called + self._idle - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    def fall(self, connections: Iterable[Watcher]) -> None:
        """Nothing happened: tell the holders that the server is about to end, or end it when they know.

        The clock starts again with a call that was run since they were told.
        """
        now = time.monotonic()
        if self._told_at <= self._model.last_called:
            self._told_at = now
            for each in connections:
                if each.watches and each.knows:  # one that did not answer the last time is not told again
                    each.knows = not _tell(each, frames.ABOUT_TO_SLEEP)
        elif not _await_answers(connections) or now > self._told_at + _ANSWERED_WITHIN:
            self._end(connections, now - self._model.last_called)

    def _end(self, connections: Iterable[Watcher], idle: float) -> NoReturn:
        watching = [each for each in connections if each.watches]
        asked = any(each.wants_sleep for each in watching)
        log(f"{self._model.name} falls asleep {'as it was told' if asked else f'after {idle:.0f} s without a call'}")
        sys.stdout.flush()
        for each in watching:
            _tell(each, frames.ASLEEP)
        os._exit(EXIT_CODE)  # threads that the author's code left behind must not hold this up


def _await_answers(connections: Iterable[Watcher]) -> bool:
    return any(each.watches and not each.knows for each in connections)


def _tell(watcher: Watcher, what: int) -> bool:
    try:
        watcher.send(what)
    except ClientGone:
        return False
    return True
