"""Sleep of the model server. It ends after some time without a call, which frees its GPU memory.

The server measures that time itself, so it passes even while the notebook's kernel is busy or stopped. The server
announces its end to the holders of the instance and waits for their answers. A call that arrives in that time keeps it
awake. A call that arrives later is not read, so its client knows that the call has not begun.
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

_ANSWER_LIMIT = 2.0  # seconds in which the holders measure the memory and answer; a busy kernel may miss them
_LOOK_INTERVAL = 0.02  # seconds between two checks that all holders have answered


class Watcher(Protocol):
    """The part of a connection that `Sleep` uses. See `connection.Connection`."""

    watches: bool
    wants_sleep: bool
    answered: bool

    def send(self, kind: int, /) -> None:
        """Send a frame without a body; `kind` is a constant of `protocol.frames`. Raises ClientGone."""


class Sleep:
    """The idle clock. It ends the server after `idle` seconds without a call, or when a holder asks for that.

    The lane's loop waits for events for as long as `timeout` returns. If none comes, it calls `on_timeout`.
    """

    def __init__(self, scheduler: Scheduler, idle: float) -> None:
        self._scheduler = scheduler
        self._idle = idle
        self._announced = 0.0  # when the end was announced to the holders, in time.monotonic() seconds

    def timeout(self, connections: Iterable[Watcher]) -> float | None:
        """Return the number of seconds to wait for events; None for no limit."""
        idle_since = self._scheduler.idle_since
        if idle_since is None:
            return None  # a call runs on another thread, and its end will be an event
        if self._announced > idle_since:
            return _LOOK_INTERVAL if _await_answers(connections) else 0.0
        if any(each.wants_sleep for each in connections):
            return 0.0
        left = idle_since + self._idle - time.monotonic()
        return None if left == float("inf") else max(0.0, left)

    def on_timeout(self, connections: Iterable[Watcher]) -> None:
        """Announce the server's end to the holders. Later, end the server if all have answered or 2 seconds passed.

        A call that ends after the announcement starts the clock again.
        """
        now = time.monotonic()
        idle_since = self._scheduler.idle_since
        if idle_since is None:
            return
        if self._announced <= idle_since:
            self._announced = now
            for each in connections:
                if each.watches and each.answered:  # not again to a holder that has not answered the last time
                    each.answered = not _send(each, frames.ABOUT_TO_SLEEP)
        elif not _await_answers(connections) or now > self._announced + _ANSWER_LIMIT:
            self._end(connections, now - idle_since)

    def _end(self, connections: Iterable[Watcher], idle: float) -> NoReturn:
        watching = [each for each in connections if each.watches]
        asked = any(each.wants_sleep for each in watching)
        name = self._scheduler.model.name
        log(f"{name} falls asleep {'on request' if asked else f'after {idle:.0f} s without a call'}")
        sys.stdout.flush()
        for each in watching:
            _send(each, frames.ASLEEP)
        os._exit(EXIT_CODE)  # `sys.exit` would wait for threads that the author's code has started


def _await_answers(connections: Iterable[Watcher]) -> bool:
    return any(each.watches and not each.answered for each in connections)


def _send(watcher: Watcher, kind: int) -> bool:
    """Send a frame; return False if the holder has left."""
    try:
        watcher.send(kind)
    except ClientGone:
        return False
    return True
