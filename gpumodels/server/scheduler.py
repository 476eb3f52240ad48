"""Scheduling of calls: which call runs when, and on which thread.

The lane's loop reads requests and submits them, those of the lane and those of gRPC alike. While the scheduler is full,
the loop reads nothing. Requests on the lane then wait unread in their sockets, so they have not begun if the server
dies. Calls by gRPC wait in the scheduler's queue.
"""

from __future__ import annotations

import abc
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from gpumodels.server.statistics import Statistics

if TYPE_CHECKING:
    from gpumodels.server.calls import Call, Model


class CallQueue:
    """Calls that one thread hands to another, and a descriptor that is readable while the queue holds any."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self.fd = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        """Add a call at the end. Any thread may do that."""
        self._calls.append(call)
        os.eventfd_write(self.fd, 1)

    def take(self) -> Call | None:
        """Remove and return the first call; return None if there is none."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return None
        return self._calls.popleft()

    def wait(self) -> None:
        """Wait until the queue holds a call."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.poll()


class Scheduler(abc.ABC):
    """Runs the calls of one model and knows which of them run.

    A subclass decides when a call runs and on which thread. Only the loop's thread calls `submit`; any thread may use
    the rest.
    """

    #: Number of calls that run at once.
    slots = 1

    def __init__(self, model: Model) -> None:
        self.model = model
        self.statistics = Statistics()
        #: Calls that other threads than the loop's read. The loop submits them in turn.
        self.queue = CallQueue()
        #: Calls that ended on another thread than the loop's. The loop reads their connections again.
        self.ended = CallQueue()
        #: Number of calls that were submitted and have not ended. The subclass counts them.
        self.under_way = 0
        self._running: dict[int, Call] = {}  # by the id of the thread that runs the call
        self._last_ended = time.monotonic()

    @abc.abstractmethod
    def submit(self, call: Call) -> bool:
        """Run the call, or have another thread run it.

        Returns
        -------
        bool
            True if the call has ended. False if it ends later, on another thread, which then puts it into `ended`.

        """

    @property
    def full(self) -> bool:
        """True while the loop must not submit another call."""
        return self.under_way >= self.slots

    @property
    def running(self) -> int:
        """Number of calls that run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Number of calls that were read and have not begun."""
        return len(self.queue)

    @property
    def idle_since(self) -> float | None:
        """When the last call ended, in `time.monotonic()` seconds; None while a call is under way."""
        return None if self.under_way else self._last_ended

    def run(self, call: Call) -> None:
        """Run the call on this thread. Raises nothing: what goes wrong is the client's to know."""
        thread = threading.get_ident()
        self._running[thread] = call
        try:
            self.model.run(call, self.statistics)
        finally:
            self._last_ended = time.monotonic()
            del self._running[thread]  # so that inputs of gigabytes do not live until the next call

    def current_call(self) -> Call | None:
        """Return the call that this thread runs.

        A thread that runs none may be one that the author started: for that, return the only call that runs. Return
        None if several run, because nothing tells which of them started the thread.
        """
        call = self._running.get(threading.get_ident())
        if call is None:
            running = list(self._running.values())  # one step, so that no other thread changes it meanwhile
            return running[0] if len(running) == 1 else None
        return call


class SerialScheduler(Scheduler):
    """Runs each call at once, on the loop's thread, which ran `load` as well.

    What frameworks keep per thread (torch's grad mode, CUDA's current device) stays as the author set it in `load`, and
    the author may handle signals. A call on the lane costs no hand-over between threads, no lock and no eventfd.
    """

    def submit(self, call: Call) -> bool:
        """Run the call and return True."""
        self.under_way = 1
        self.run(call)
        self.under_way = 0
        return True


_installed: list[Scheduler] = []  # one at most: a process serves one model


def install(scheduler: Scheduler) -> None:
    """Make `gpumodels.server.cancelled` ask this scheduler from now on."""
    _installed[:] = [scheduler]


def current_call_is_cancelled() -> bool:
    """Return what `gpumodels.server.cancelled` returns."""
    call = _installed[0].current_call() if _installed else None
    return call is not None and call.cancelled()
