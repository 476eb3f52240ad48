"""`Replicas`: the instances behind one handle, which of them takes a call, and what becomes of those that end.

A model without replicas is one alone. It sleeps and wakes, and when it dies it is gone. Of several, each sleeps and
wakes by itself: a call goes to the one with the fewest calls under way, and wakes another only where all that are
awake are busy. One that dies is started again in the background.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket
from gpumodels.errors import CallError, ModelGone
from gpumodels.model.replica import Replica
from gpumodels.model.revival import Revival

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpumodels.model.stay import Stay


class Replicas:
    """Safe to use from threads; takes no lock on the way of a call, so that a forked child can call."""

    def __init__(self, stays: Sequence[Stay], again: Callable[[Replica, Ticket, Any, bool], None]) -> None:
        """`again`: see `Revival`."""
        self.all = tuple(Replica(place, stay) for place, stay in enumerate(stays))
        #: How they are started again.
        self.revival = Revival(self.all, again)
        self._calling_pid = os.getpid()
        self._turns = itertools.count()

    @property
    def several(self) -> bool:
        return len(self.all) > 1

    @property
    def first(self) -> Replica:
        """The one that stands for all where one is asked for: the first that can be called."""
        return next((each for each in self.all if each.stay.open), self.all[0])

    @property
    def alive(self) -> bool:
        """Whether a call has somebody to go to, be it one of several that is started again."""
        return any(each.alive or (self.several and each.ending) or self.revival.replaceable(each) for each in self.all)

    @property
    def asleep(self) -> bool:
        """Whether all that there are gave their memory back."""
        return any(each.asleep for each in self.all) and not self.alive

    @property
    def state(self) -> str:
        """For display: what they are."""
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
        if self.revival.replaceable(replica):
            return "died and is started again"
        why = replica.trouble.partition("\n")[0]
        return "died too often" + (f" ({why})" if why else "")

    def ask(self, way: str, *arguments: Any, **options: Any) -> Any:
        """The answer of one of them; a call that cannot have begun where it was sent first is sent to another."""
        tried: list[Stay] = []
        while True:
            replica, stay = self._taker(tried, options.get("ticket"))
            token = object()
            replica.calls.add(token)
            try:
                return getattr(stay.client, way)(*arguments, **options)
            except ModelGone as error:
                self._check_not_begun(stay, error)
            finally:
                replica.calls.discard(token)
            tried.append(stay)

    def each(self, way: str, *arguments: Any) -> Iterator[Any]:
        """The same for a call with many answers."""
        tried: list[Stay] = []
        while True:
            replica, stay = self._taker(tried, None)
            token, answered = object(), False
            replica.calls.add(token)
            try:
                for answer in getattr(stay.client, way)(*arguments):
                    answered = True
                    yield answer
            except ModelGone as error:
                self._check_not_begun(stay, error, answered=answered)
            else:
                return
            finally:
                replica.calls.discard(token)
            tried.append(stay)

    def _taker(self, tried: Sequence[Stay], ticket: Ticket | None) -> tuple[Replica, Stay]:
        """Who takes a call; raises ModelGone where nobody can, and what a load raises."""
        if self._calling_pid != os.getpid():  # a fork inherits what its parent's threads do, but not the threads
            self._calling_pid = os.getpid()
            for replica in self.all:
                replica.calls = set()
        while True:
            awake = [each for each in self.all if each.stay.open and each.stay not in tried]
            if awake:
                least = awake[0] if len(awake) == 1 else self._least(awake)
                if least.calls and len(awake) < len(self.all):
                    self.revival.more()
                return least, least.stay
            for each in self.all:
                if (stay := each.stay).gone is None and stay.nap is None and stay not in tried:
                    return each, stay  # all are about to end: it answers, or the call has not begun
            self.revival.one(tried, ticket or Ticket())

    def _least(self, awake: Sequence[Replica]) -> Replica:
        turn = next(self._turns)
        return min(awake, key=lambda each: (len(each.calls), (each.place - turn) % len(self.all)))

    def _check_not_begun(self, stay: Stay, error: ModelGone, *, answered: bool = False) -> None:
        """Return where the call can be made once more; raise what its caller is told where not."""
        if not error.begun and not answered:
            return
        if self.revival.mine:
            stay.let_go()
        if answered and self.revival.mine and stay.alive:
            raise CallError(
                f"{stay.record.model} gave this stream up: it was not read for a while and other calls waited. Read "
                "it as it comes, or collect it with list()."
            )
        slept = stay.nap is not None and stay.gone is None
        if answered or not slept or not self.revival.mine:
            raise self._cut(stay)

    def _cut(self, stay: Stay) -> ModelGone:
        """What is said of a call that was under way when its instance ended."""
        if stay.gone is None or not self.several or self.revival.stopped:
            return self.revival.why_gone(stay)
        what = str(stay.gone).partition(". ")[0]
        return type(stay.gone)(
            f"{what} while it may have run this call (replica {stay.record.id} on {stay.record.device}). Call again: "
            f"the other replicas go on. Its last lines:\n{stay.last_lines}"
        )

    def sleep(self) -> None:
        """Give the memory of all back when no call runs any more."""
        self._at_once([each.stay.sleep for each in self.all if each.stay.gone is None and each.stay.nap is None])

    def stop(self, by: str) -> None:
        """End all of them, and start none again."""
        self._at_once([functools.partial(stay.stop, by) for stay in self.revival.stop()])

    def _at_once(self, deeds: Sequence[Callable[[], None]]) -> None:
        """The first on this thread, which an interrupt reaches; the others beside it."""
        threads = [threading.Thread(target=deed, name="gpumodels replica", daemon=True) for deed in deeds[1:]]
        for thread in threads:
            thread.start()
        for deed in deeds[:1]:
            deed()
        for thread in threads:
            thread.join()
