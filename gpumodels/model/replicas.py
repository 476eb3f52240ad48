"""`Replicas`: the instances behind one handle, and the choice of the one that takes a call.

Most handles have one replica: it sleeps and wakes, and if it dies, the model is gone. If a handle has several replicas:

- each sleeps and wakes by itself;
- a call goes to the replica with the fewest calls in flight, and wakes another one only if all awake ones are busy;
- a replica that dies is started again in the background.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from gpumodels.client import Ticket
from gpumodels.errors import CallError, ModelGone
from gpumodels.model.replica import Replica
from gpumodels.model.restarts import Restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpumodels.client import Client
    from gpumodels.model.attachment import Attachment
    from gpumodels.model.restarts import Reload

T = TypeVar("T")


class Replicas:
    """The replicas of one handle. Threads may use it at the same time.

    A call takes no lock, so a forked child can call too.
    """

    def __init__(self, attachments: Sequence[Attachment], reload: Reload) -> None:
        """Create the replicas, one for each attachment. `reload` can load a replica again; see `Restarts`."""
        self.all = tuple(Replica(number, attachment) for number, attachment in enumerate(attachments))
        #: True if there is more than one replica.
        self.several = len(self.all) > 1
        self.restarts = Restarts(self.all, reload)
        self._calling_pid = os.getpid()
        self._turns = itertools.count()

    @property
    def first(self) -> Replica:
        """The first replica that can be called, or the first of all. Its facts are shown as those of the model."""
        return next((each for each in self.all if each.attachment.open), self.all[0]) if self.several else self.all[0]

    @property
    def alive(self) -> bool:
        """True if a replica can take a call, or if one that died will be started again."""
        return any(
            each.attachment.alive or (self.several and (each.ending or self.restarts.replaceable(each)))
            for each in self.all
        )

    @property
    def asleep(self) -> bool:
        """True if no replica runs and at least one sleeps."""
        return any(each.asleep for each in self.all) and not self.alive

    @property
    def over(self) -> bool:
        """True if no replica runs, sleeps or will be started again."""
        return not (self.alive or any(each.attachment.asleep for each in self.all))

    @property
    def state(self) -> str:
        """The states of all replicas as text, such as "1 of 2 ready, 1 asleep"."""
        if not self.several:
            return "ready" if self.alive else "stopped"
        states = sorted((self._state(each) for each in self.all), key=lambda state: state != "ready")
        counts = Counter(states)
        if len(counts) == 1:
            return states[0]
        first, *others = (f"{count} {state}" for state, count in counts.items())
        return ", ".join([first.replace(" ", f" of {len(self.all)} ", 1), *others])

    def _state(self, replica: Replica) -> str:
        if replica.alive:
            return "ready"
        if replica.asleep:
            return "asleep"
        if replica.ending:
            return "ending"
        if not replica.dead:
            return "stopped"
        if self.restarts.replaceable(replica):
            return "died and is started again"
        why = replica.trouble.partition("\n")[0]
        return "died too often" + (f" ({why})" if why else "")

    def ask(self, call: Callable[[Client], T], ticket: Ticket | None = None) -> T:
        """Make a call on a replica, and return its result.

        If the replica ends before the call can have begun, the call is made on another replica.
        """
        tried: list[Attachment] = []
        while True:
            replica, attachment = self._choose(tried, ticket)
            token = object()
            replica.calls.add(token)
            try:
                return call(attachment.client)
            except ModelGone as error:
                self._check_not_begun(attachment, error)
            finally:
                replica.calls.discard(token)
            tried.append(attachment)

    def each(self, call: Callable[[Client], Iterator[T]]) -> Iterator[T]:
        """Make a call with several answers as `ask` does, and yield the answers."""
        tried: list[Attachment] = []
        while True:
            replica, attachment = self._choose(tried, None)
            token, answered = object(), False
            replica.calls.add(token)
            try:
                for answer in call(attachment.client):
                    answered = True
                    yield answer
            except ModelGone as error:
                self._check_not_begun(attachment, error, answered=answered)
            else:
                return
            finally:
                replica.calls.discard(token)
            tried.append(attachment)

    def _choose(self, tried: Sequence[Attachment], ticket: Ticket | None) -> tuple[Replica, Attachment]:
        """Return a replica that can take a call, and its attachment, but none in `tried`. Start a replica if none can.

        `ticket` cancels the start. Raises ModelGone if no replica can be started, and the errors of a load.
        """
        if self._calling_pid != os.getpid():  # a fork inherits the calls of its parent's threads, but not the threads
            self._calling_pid = os.getpid()
            for replica in self.all:
                replica.calls = set()
        while True:
            awake = [each for each in self.all if each.attachment.open and each.attachment not in tried]
            if awake:
                least = awake[0] if len(awake) == 1 else self._least_busy(awake)
                if least.calls and len(awake) < len(self.all):
                    self.restarts.wake_one_more()
                return least, least.attachment
            # No replica is open. One that is about to end may still answer. If it does not, the call has not begun, and
            # the next turn of this loop starts a replica.
            for each in self.all:
                if (attachment := each.attachment).attached and attachment not in tried:
                    return each, attachment
            self.restarts.start_one(tried, ticket or Ticket())

    def _least_busy(self, awake: Sequence[Replica]) -> Replica:
        turn = next(self._turns)
        return min(awake, key=lambda each: (len(each.calls), (each.number - turn) % len(self.all)))

    def _check_not_begun(self, attachment: Attachment, error: ModelGone, *, answered: bool = False) -> None:
        """Return if the call can be made again. Raises the error for the caller if it cannot."""
        if not error.begun and not answered:
            return
        if self.restarts.mine:
            attachment.clean_up()
        if answered and self.restarts.mine and attachment.alive:
            raise CallError(
                f"{attachment.record.model} gave this stream up: it was not read for a while and other calls waited. "
                "Read it as it comes, or collect it with list()."
            )
        if answered or not attachment.asleep or not self.restarts.mine:
            raise self._interrupted(attachment)

    def _interrupted(self, attachment: Attachment) -> ModelGone:
        """Return the error of a call that was in flight when its instance ended."""
        if attachment.error is None or not self.several or self.restarts.stopped:
            return self.restarts.why_gone(attachment)
        what = str(attachment.error).partition(". ")[0]
        return type(attachment.error)(
            f"{what} while it may have run this call (replica {attachment.record.id} on {attachment.record.device}). "
            f"Call again: the other replicas go on. Its last lines:\n{attachment.last_lines}"
        )

    def sleep(self) -> None:
        """Put all replicas to sleep, each as soon as no call runs on it."""
        _side_by_side([each.attachment.sleep for each in self.all if each.attachment.attached])

    def stop(self, by: str) -> None:
        """End all replicas for good: none is started again."""
        _side_by_side([functools.partial(attachment.stop, by) for attachment in self.restarts.stop()])


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the first task on this thread, where an interrupt can end it, and each other task on a new thread."""
    threads = [threading.Thread(target=task, name="gpumodels replica", daemon=True) for task in tasks[1:]]
    for thread in threads:
        thread.start()
    for task in tasks[:1]:
        task()
    for thread in threads:
        thread.join()
