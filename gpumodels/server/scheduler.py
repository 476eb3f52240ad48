"""The scheduler of calls. It decides when each call runs, and on which thread.

The lane's loop submits all requests to the scheduler, those on the lane and those by gRPC. While the scheduler is full,
the loop reads nothing. Requests on the lane then wait unread in their sockets. If the server dies, their clients know
that these calls have not begun. Calls by gRPC wait in the scheduler's queue.
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
    """A queue of calls from other threads to one thread. The descriptor `fd` is readable while it holds a call."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self.fd = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        """Add a call at the end. Any thread may call this."""
        self._calls.append(call)
        os.eventfd_write(self.fd, 1)

    def take(self) -> Call | None:
        """Remove the first call and return it. Return None if the queue is empty."""
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
    """The scheduler of one model's calls, and the list of the calls that run.

    A subclass decides when a call runs, and on which thread. Only the thread of the lane's loop calls `submit`. Any
    thread may use the other methods.
    """

    #: The largest number of calls that run at once.
    slots = 1

    def __init__(self, model: Model) -> None:
        self.model = model
        self.statistics = Statistics()
        #: Calls by gRPC, which gRPC's threads put here. The loop submits them one after another.
        self.queue = CallQueue()
        #: Calls that have ended on another thread than the loop's. The loop then reads their connections again.
        self.ended = CallQueue()
        #: The number of calls that were submitted and have not ended. The subclass counts them.
        self.in_flight = 0
        self._running: dict[int, Call] = {}  # keyed by the id of the thread that runs the call
        self._last_ended = time.monotonic()

    @abc.abstractmethod
    def submit(self, call: Call) -> bool:
        """Run the call on this thread, or start it on another one.

        Returns
        -------
        bool
            True if the call has ended. False if it runs on another thread, which puts the call into `ended` at its end.

        """

    @property
    def full(self) -> bool:
        """True while the loop must not submit another call."""
        return self.in_flight >= self.slots

    @property
    def running(self) -> int:
        """The number of calls that run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """The number of calls that were read and have not begun."""
        return len(self.queue)

    @property
    def idle_since(self) -> float | None:
        """The moment when the last call ended, in seconds of `time.monotonic()`; None while a call is in flight."""
        return None if self.in_flight else self._last_ended

    def run(self, call: Call) -> None:
        """Run the call on this thread. Raises nothing, because errors are sent to the client."""
        thread = threading.get_ident()
        self._running[thread] = call
        try:
            self.model.run(call, self.statistics)
        finally:
            self._last_ended = time.monotonic()
            del self._running[thread]  # else its inputs, of gigabytes perhaps, would stay until the next call

    def current_call(self) -> Call | None:
        """Return the call that this thread runs.

        A thread without a call may be one that the author started during a call. If only one call runs, return that
        call. If several run, return None, because it is not known which of them started the thread.
        """
        call = self._running.get(threading.get_ident())
        if call is None:
            running = list(self._running.values())  # one copy, because other threads change the dict
            return running[0] if len(running) == 1 else None
        return call


class SerialScheduler(Scheduler):
    """A scheduler that runs each call at once on the loop's thread, the thread that ran `load`.

    Frameworks keep some settings per thread, such as the grad mode of torch and the current device of CUDA. These stay
    as the author set them in `load`. The author may also handle signals, which Python allows only on the main thread.
    A call on the lane needs no switch between threads, no lock and no eventfd.
    """

    def submit(self, call: Call) -> bool:
        """Run the call and return True."""
        self.in_flight = 1
        try:
            self.run(call)
        finally:
            self.in_flight = 0
        return True


_installed: list[Scheduler] = []  # the scheduler of this process, which serves one model; empty until it is loaded


def install(scheduler: Scheduler) -> None:
    """Let `gpumodels.server.cancelled` use this scheduler from now on."""
    _installed[:] = [scheduler]


def current_call_is_cancelled() -> bool:
    """Return True if the client of the running call has left; see `gpumodels.server.cancelled`."""
    call = _installed[0].current_call() if _installed else None
    return call is not None and call.cancelled()
