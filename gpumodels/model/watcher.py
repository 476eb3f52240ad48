"""One thread of this process that hears when its models' servers fall asleep."""

from __future__ import annotations

import os
import selectors
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gpumodels.client import Watch


class Listener(Protocol):
    """What is told, on the watcher's thread, so quickly done."""

    def drowsy(self) -> None:
        """The model server is about to end itself, and waits until this returns."""

    def over(self, *, asleep: bool) -> None:
        """The model server has ended, to sleep or otherwise."""


class Watcher:
    """Listens on the watches of all models of this process."""

    def __init__(self) -> None:
        self._listens = False
        self._begin()

    def add(self, watch: Watch, listener: Listener) -> None:
        """Listen until the server ends or `remove`."""
        if self._pid != os.getpid():  # a fork has no such thread, nor a say in what its parent holds
            self._begin()
        with self._lock:
            self._selector.register(watch, selectors.EVENT_READ, listener)
            if not self._listens:
                self._listens = True
                threading.Thread(target=self._listen, name="gpumodels watch", daemon=True).start()

    def remove(self, watch: Watch) -> None:
        """Listen no more; the watch is closed."""
        with self._lock:
            if self._pid == os.getpid() and watch.fileno() >= 0:  # else it is closed already
                self._selector.unregister(watch)
            watch.close()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._selector = selectors.EpollSelector()  # to which another thread may add while one waits
        self._listens = False

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                watch: Any = key.fileobj
                try:
                    if watch.hear():
                        key.data.drowsy()
                        watch.answer()
                except EOFError:
                    self.remove(watch)
                    key.data.over(asleep=watch.asleep)


WATCHER = Watcher()
