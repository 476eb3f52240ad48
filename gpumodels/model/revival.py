"""`Revival`: replicas that sleep or died are started again, one at a time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket
from gpumodels.errors import LoadCancelled, ModelGone, ModelStopped
from gpumodels.model.waking import Waking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.model.replica import Replica
    from gpumodels.model.stay import Stay


class Revival:
    """For a call that finds nobody, and of several in the background too. Safe to use from threads."""

    def __init__(self, replicas: Sequence[Replica], again: Callable[[Replica, Ticket, Any, bool], None]) -> None:
        """`again` starts the instance of a replica once more and has the handle continue on it.

        It is given the ticket of the call that wants it, where to report (None: where calls do), and whether to say
        nothing, since nobody waits for it.
        """
        self._all = replicas
        self._several = len(replicas) > 1
        self._again = again
        self._pid = os.getpid()
        self._waking = Waking()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ticket = Ticket()  # of what is started in the background
        self._tending = False
        for replica in replicas:
            self._listen(replica.stay)

    @property
    def mine(self) -> bool:
        """Whether this very process loaded them, and not one that this is a fork of."""
        return os.getpid() == self._pid

    @property
    def stopped(self) -> bool:
        """Whether none is started any more."""
        return self._stopped.is_set()

    def stop(self) -> list[Stay]:
        """Start none any more; what is to be ended."""
        with self._lock:
            self._stopped.set()
            stays = [each.stay for each in self._all]
        self._ticket.end()
        return stays

    def replaceable(self, replica: Replica) -> bool:
        """Whether it died, one of several, and is going to be started again."""
        return self._several and replica.dead and replica.hopeful and not self._stopped.is_set()

    def why_gone(self, stay: Stay | None = None) -> ModelGone:
        """Why nobody can be called."""
        stays = [each.stay for each in self._all] if stay is None else [stay]
        name = self._all[0].record.model
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

    def one(self, tried: Sequence[Stay], ticket: Ticket) -> None:
        """Wake or replace one, for a call that finds nobody."""
        if not self.mine:
            raise self.why_gone()

        def nobody() -> bool:
            return not any(each.stay.open and each.stay not in tried for each in self._all)

        def start() -> None:
            self.let_go(tried)
            asleep = [each for each in self._all if each.asleep]
            ended = asleep or [each for each in self._all if self.replaceable(each)]
            if not ended or self._stopped.is_set():
                raise self.why_gone()
            self._start(ended[0], ticket, None)

        self._waking.once(nobody, start, ticket)

    def wake(self, ticket: Ticket, report: Any) -> None:
        """Start all that sleep, and of several those that ended otherwise too; raises what a load raises."""
        self.let_go()
        hope = any(each.alive or each.asleep or self.replaceable(each) for each in self._all)
        if self._stopped.is_set() or not hope:
            raise self.why_gone()
        for replica in self._all if self.mine else ():
            if not replica.stay.open:
                replica.forgive()
                self._start_if(replica, ticket, report)

    def more(self) -> None:
        """Wake one that sleeps, in the background: the others are busy."""
        for replica in self._all:
            if replica.asleep and replica.hopeful and not replica.wanted:
                replica.wanted = True
                self._tend_soon()
                return

    def continue_on(self, replica: Replica, stay: Stay) -> None:
        """The place is taken by what was started again; raises ModelStopped where all were stopped meanwhile."""
        with self._lock:
            if self._stopped.is_set():
                raise self.why_gone()
            replica.continue_on(stay)
        self._listen(stay)

    def let_go(self, silent: Sequence[Stay] = ()) -> None:
        """Remove what is left of those that ended, of the `silent` also where their leash does not know it yet."""
        for replica in self._all if self.mine else ():
            if replica.stay in silent or not replica.alive:
                replica.stay.let_go()

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

    def _start_if(self, replica: Replica, ticket: Ticket, report: Any, *, quietly: bool = False) -> None:
        def needed() -> bool:
            return replica.stay.gone is not None or replica.stay.nap is not None

        self._waking.once(needed, lambda: self._start(replica, ticket, report, quietly=quietly), ticket)

    def _listen(self, stay: Stay) -> None:
        if self._several:
            stay.when_ended(self._tend_soon)

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
                each for each in self._all if self.replaceable(each) or (each.asleep and each.wanted and each.hopeful)
            ]
            self._tending = bool(missing) and not self._stopped.is_set()
            return min(missing, key=lambda each: each.pause) if self._tending else None
