"""One thread of this process that hears when its models' servers fall asleep or end."""

from __future__ import annotations

import os
import selectors
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gpumodels.client import Watch


class Listener(Protocol):
    """Receives the watcher's events on the watcher's thread. Its methods must return quickly."""

    def about_to_sleep(self) -> None:
        """Prepare for the end of the model server, which waits until this returns."""

    def server_ended(self, *, asleep: bool) -> None:
        """Take note that the model server has ended; `asleep` if it ended itself to free its memory."""


class Watcher:
    """The watches of all models of this process."""

    _listening: bool

    def __init__(self) -> None:
        self._start_over()

    def add(self, watch: Watch, listener: Listener) -> None:
        """Listen until the server ends or `remove` is called."""
        if self._pid != os.getpid():  # a fork has no such thread, and must not act for its parent
            self._start_over()
        with self._lock:
            self._selector.register(watch, selectors.EVENT_READ, listener)
            if not self._listening:
                self._listening = True
                threading.Thread(target=self._listen, name="gpumodels watch", daemon=True).start()

    def remove(self, watch: Watch) -> None:
        """Stop listening and close the watch."""
        with self._lock:
            if self._pid == os.getpid() and watch.fileno() >= 0:  # else it is closed already
                self._selector.unregister(watch)
            watch.close()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._selector = selectors.EpollSelector()  # other threads may add to it while one waits
        self._listening = False  # whether the thread runs

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                watch: Any = key.fileobj
                try:
                    if watch.hear():
                        key.data.about_to_sleep()
                        watch.answer()
                except EOFError:
                    self.remove(watch)
                    key.data.server_ended(asleep=watch.asleep)


WATCHER = Watcher()
