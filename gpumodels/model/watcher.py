"""The thread of this process that is notified when the model servers of its models fall asleep or end."""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gpumodels.client import Watch


class Listener(Protocol):
    """A receiver of the watcher's events. Its methods run on the watcher's thread and must return quickly."""

    def about_to_sleep(self) -> None:
        """Prepare for the end of the model server. The server waits until this returns."""

    def server_ended(self, *, asleep: bool) -> None:
        """Handle the end of the model server. `asleep` is True if the server ended itself to free its memory."""


class Watcher:
    """The thread that reads each `Watch` of this process, the connection for a model server's announcements."""

    _listening: bool

    def __init__(self) -> None:
        self._start_over()

    def add(self, watch: Watch, listener: Listener) -> None:
        """Pass the events of `watch` to `listener` until the server ends or `remove` is called."""
        if self._pid != os.getpid():  # a fork does not have the thread, and must not handle events of its parent
            self._start_over()
        with self._lock:
            self._selector.register(watch, selectors.EVENT_READ, listener)
            if not self._listening:
                self._listening = True
                threading.Thread(target=self._listen, name="gpumodels watch", daemon=True).start()

    def remove(self, watch: Watch) -> None:
        """Stop reading the watch, and close it."""
        with self._lock:
            if self._pid == os.getpid() and watch.fileno() >= 0:  # below 0 if it is closed already
                with suppress(KeyError):  # an interrupt came before it was added
                    self._selector.unregister(watch)
            watch.close()

    def _start_over(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._selector = selectors.EpollSelector()  # one thread may add a watch while another thread waits
        self._listening = False  # True if the thread runs

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
