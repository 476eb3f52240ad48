"""`Replicas`: the instances behind one handle, which of them takes a call, and what becomes of those that end.

A model without replicas is one alone. It sleeps and wakes, and when it dies it is gone. Of several, each sleeps and
wakes by itself: a call goes to the one with the fewest calls under way, and wakes another only where all that are
awake are busy. One that dies is started again in the background.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket
from gpumodels.errors import CallError, LoadCancelled, ModelGone, ModelStopped
from gpumodels.model.replica import Replica
from gpumodels.model.waking import Waking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpumodels.model.stay import Stay


class Replicas:
    """Safe to use from threads; takes no lock on the way of a call, so that a forked child can call."""

    def __init__(self, stays: Sequence[Stay], again: Callable[[Replica, Ticket, Any, bool], None]) -> None:
        """`again` starts the instance of a replica once more and has the handle continue on it.

        It is given the ticket of the call that wants it, where to report (None: where calls do), and whether to say
        nothing, since nobody waits for it.
        """
        self.all = tuple(Replica(place, stay) for place, stay in enumerate(stays))
        self._again = again
        self._pid = self._calling_pid = os.getpid()
        self._turns = itertools.count()
        self._waking = Waking()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ticket = Ticket()  # of what is started in the background
        self._tending = False
        for replica in self.all:
            self._listen(replica.stay)

    @property
    def several(self) -> bool:
        return len(self.all) > 1

    @property
    def first(self) -> Replica:
        """The one that stands for all where one is asked for: the first that can be called."""
        return next((each for each in self.all if each.stay.open), self.all[0])

    @property
    def mine(self) -> bool:
        """Whether this very process loaded them, and not one that this is a fork of."""
        return os.getpid() == self._pid

    @property
    def alive(self) -> bool:
        """Whether a call has somebody to go to, be it one of several that is started again."""
        return any(each.alive or (self.several and each.ending) or self._replaceable(each) for each in self.all)

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
        if self._replaceable(replica):
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
                    self._want_more()
                return least, least.stay
            for each in self.all:
                if (stay := each.stay).gone is None and stay.nap is None and stay not in tried:
                    return each, stay  # all are about to end: it answers, or the call has not begun
            self._start_one(tried, ticket or Ticket())

    def _least(self, awake: Sequence[Replica]) -> Replica:
        turn = next(self._turns)
        return min(awake, key=lambda each: (len(each.calls), (each.place - turn) % len(self.all)))

    def _check_not_begun(self, stay: Stay, error: ModelGone, *, answered: bool = False) -> None:
        """Return where the call can be made once more; raise what its caller is told where not."""
        if not error.begun and not answered:
            return
        if self.mine:
            stay.let_go()
        if answered and self.mine and stay.alive:
            raise CallError(
                f"{stay.record.model} gave this stream up: it was not read for a while and other calls waited. Read "
                "it as it comes, or collect it with list()."
            )
        slept = stay.nap is not None and stay.gone is None
        if answered or not slept or not self.mine:
            raise self._cut(stay)

    def _cut(self, stay: Stay) -> ModelGone:
        """What is said of a call that was under way when its instance ended."""
        if stay.gone is None or not self.several or self._stopped.is_set():
            return self.why_gone(stay)
        what = str(stay.gone).partition(". ")[0]
        return type(stay.gone)(
            f"{what} while it may have run this call (replica {stay.record.id} on {stay.record.device}). Call again: "
            f"the other replicas go on. Its last lines:\n{stay.last_lines}"
        )

    def why_gone(self, stay: Stay | None = None) -> ModelGone:
        """Why nobody can be called."""
        stays = [each.stay for each in self.all] if stay is None else [stay]
        name = self.all[0].record.model
        gone = [each.gone for each in stays if each.gone is not None]
        if gone:
            told = min(gone, key=lambda each: not isinstance(each, ModelStopped))
            return type(told)(*told.args)  # anew: raising one error twice would grow its traceback
        if not self.mine:
            return ModelGone(
                f"The model server of {name} is gone: it ended with the process that loaded it, or sleeps until that "
                "one calls it."
            )
        return ModelGone(f"The model server of {name} lives but does not answer. `%stop_model` ends it.")

    def _start_one(self, tried: Sequence[Stay], ticket: Ticket) -> None:
        """Wake or replace one, for a call that finds nobody."""
        if not self.mine:
            raise self.why_gone()

        def nobody() -> bool:
            return not any(each.stay.open and each.stay not in tried for each in self.all)

        def start() -> None:
            self.let_go(tried)
            ended = [each for each in self.all if each.asleep] or [each for each in self.all if self._replaceable(each)]
            if not ended or self._stopped.is_set():
                raise self.why_gone()
            self._start(ended[0], ticket, None)

        self._waking.once(nobody, start, ticket)

    def _start(self, replica: Replica, ticket: Ticket, report: Any, *, quietly: bool = False) -> None:
        died = replica.dead
        try:
            self._again(replica, ticket, report, quietly)
        except (LoadCancelled, CancelledError):
            raise
        except Exception as error:
            replica.attempted(str(error))
            raise
        if died:
            replica.attempted()
        else:
            replica.forgive()

    def wake(self, ticket: Ticket, report: Any) -> None:
        """Start all that sleep, and of several those that ended otherwise too; raises what a load raises."""
        self.let_go()
        if self._stopped.is_set() or not (self.alive or self.asleep):
            raise self.why_gone()
        for replica in self.all if self.mine else ():
            if not replica.stay.open:
                replica.forgive()
                self._start_if(replica, ticket, report)

    def _start_if(self, replica: Replica, ticket: Ticket, report: Any, *, quietly: bool = False) -> None:
        def needed() -> bool:
            return replica.stay.gone is not None or replica.stay.nap is not None

        self._waking.once(needed, lambda: self._start(replica, ticket, report, quietly=quietly), ticket)

    def continue_on(self, replica: Replica, stay: Stay) -> None:
        """The place is taken by what was started again; raises ModelStopped where all were stopped meanwhile."""
        with self._lock:
            if self._stopped.is_set():
                raise self.why_gone()
            replica.continue_on(stay)
        self._listen(stay)

    def let_go(self, silent: Sequence[Stay] = ()) -> None:
        """Remove what is left of those that ended, of the `silent` also where their leash does not know it yet."""
        for replica in self.all if self.mine else ():
            if replica.stay in silent or not replica.alive:
                replica.stay.let_go()

    def sleep(self) -> None:
        """Give the memory of all back when no call runs any more."""
        self._at_once([each.stay.sleep for each in self.all if each.stay.gone is None and each.stay.nap is None])

    def stop(self, by: str) -> None:
        """End all of them, and start none again."""
        with self._lock:
            self._stopped.set()
            stays = [each.stay for each in self.all]
        self._ticket.end()
        self._at_once([lambda stay=stay: stay.stop(by) for stay in stays])  # type: ignore[misc]

    def _at_once(self, deeds: Sequence[Callable[[], None]]) -> None:
        """The first on this thread, which an interrupt reaches; the others beside it."""
        threads = [threading.Thread(target=deed, name="gpumodels replica", daemon=True) for deed in deeds[1:]]
        for thread in threads:
            thread.start()
        for deed in deeds[:1]:
            deed()
        for thread in threads:
            thread.join()

    def _listen(self, stay: Stay) -> None:
        if self.several:
            stay.when_ended(self._tend_soon)

    def _replaceable(self, replica: Replica) -> bool:
        return self.several and replica.dead and replica.hopeful and not self._stopped.is_set()

    def _want_more(self) -> None:
        for replica in self.all:
            if replica.asleep and replica.hopeful and not replica.wanted:
                replica.wanted = True
                self._tend_soon()
                return

    def _tend_soon(self) -> None:
        if not self.mine:  # the lock may be taken by a thread that a fork does not have
            return
        with self._lock:
            if self._tending:
                return
            self._tending = True
        threading.Thread(target=self._tend, name="gpumodels replicas", daemon=True).start()

    def _tend(self) -> None:
        """Start what is missing, one after the other, until nothing is."""
        while (replica := self._next_missing()) is not None:
            if self._stopped.wait(replica.pause):
                continue
            with suppress(Exception):  # it is noted, and tried again later
                self._start_if(replica, self._ticket, None, quietly=True)

    def _next_missing(self) -> Replica | None:
        with self._lock:
            missing = [
                each for each in self.all if self._replaceable(each) or (each.asleep and each.wanted and each.hopeful)
            ]
            self._tending = bool(missing) and not self._stopped.is_set()
            return min(missing, key=lambda each: each.pause) if self._tending else None
