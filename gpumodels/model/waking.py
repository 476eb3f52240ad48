"""`Waking`: one start of a model that sleeps, for all who call it meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from gpumodels.errors import GpumodelsError, LoadCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.client import Ticket


class Waking:
    """Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = 0
        self._why: GpumodelsError | None = None

    def once(self, needed: Callable[[], bool], start: Callable[[], None], ticket: Ticket) -> None:
        """Have `start` run where it is `needed`, by the first who comes; the others wait and share what comes of it.

        Where the first gave up, the next tries. Raises CancelledError where the ticket was ended.
        """
        came = self._ended
        with self._lock:
            ticket.check()
            if not needed():
                return
            if self._ended > came and self._why is not None:
                raise type(self._why)(*self._why.args)  # anew: raising one error in threads would mix its tracebacks
            self._why = None
            try:
                start()
            except (LoadCancelled, CancelledError):
                raise
            except GpumodelsError as error:
                self._why = error
                raise
            finally:
                self._ended += 1
