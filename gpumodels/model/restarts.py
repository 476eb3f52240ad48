"""`Restarts`: replicas that sleep or died are started again, one at a time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from gpumodels.client import Ticket
from gpumodels.errors import GpumodelsError, LoadCancelled, ModelGone, ModelStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.model.attachment import Attachment
    from gpumodels.model.replica import Replica
    from gpumodels.model.report import Report


class Reload(Protocol):
    """Starts the instance of a replica again and has the handle continue on it."""

    def __call__(self, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool) -> None:
        """Load the replica again.

        `ticket` is that of the call that waits. Without a `report` the load is shown where calls are. Nobody waits for
        a load in the `background`, so it shows nothing.
        """


class SingleFlight:
    """One start at a time. Threads that come meanwhile wait for it and share its outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = 0
        self._error: GpumodelsError | None = None

    def run(self, needed: Callable[[], bool], start: Callable[[], None], ticket: Ticket) -> None:
        """Run `start` if it is `needed`, or wait for a start that runs and raise its error.

        If the running start is cancelled, the next thread tries. Raises CancelledError if the ticket was ended.
        """
        ended_before = self._ended
        with self._lock:
            ticket.check()
            if not needed():
                return
            if self._ended > ended_before and self._error is not None:
                # A new error for each thread: tracebacks of several threads in one error would mix.
                raise type(self._error)(*self._error.args)
            self._error = None
            try:
                start()
            except (LoadCancelled, CancelledError):
                raise
            except GpumodelsError as error:
                self._error = error
                raise
            finally:
                self._ended += 1


class Restarts:
    """Starts replicas for calls that find none and, of several replicas, in the background too. Safe to use from
    threads.
    """

    def __init__(self, replicas: Sequence[Replica], reload: Reload) -> None:
        self._all = replicas
        self._several = len(replicas) > 1
        self._reload = reload
        #: The process that loaded the replicas. A fork of it calls them, and starts and ends none.
        self.pid = os.getpid()
        self._flight = SingleFlight()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ticket = Ticket()  # of starts in the background
        self._tending = False
        for replica in replicas if self._several else ():
            replica.attachment.on_end(self._tend_soon)

    @property
    def mine(self) -> bool:
        """Whether this process loaded the replicas."""
        return os.getpid() == self.pid

    @property
    def stopped(self) -> bool:
        """Whether no replica is started any more."""
        return self._stopped.is_set()

    def stop(self) -> list[Attachment]:
        """Start no replica any more, and return the attachments to be ended."""
        with self._lock:
            self._stopped.set()
            attachments = [each.attachment for each in self._all]
        self._ticket.end()
        return attachments

    def replaceable(self, replica: Replica) -> bool:
        """Return True if it died, is one of several, and will be started again."""
        return self._several and replica.dead and replica.hopeful and not self._stopped.is_set()

    def why_gone(self, attachment: Attachment | None = None) -> ModelGone:
        """Return the error for a call that no replica can take."""
        attachments = [each.attachment for each in self._all] if attachment is None else [attachment]
        name = self._all[0].record.model
        errors = [each.error for each in attachments if each.error is not None]
        if errors:
            found = min(errors, key=lambda each: not isinstance(each, ModelStopped))
            return type(found)(*found.args)  # a new one: raising one error twice would grow its traceback
        if not self.mine:
            return ModelGone(
                f"The model server of {name} is gone: it ended with the process that loaded it, or sleeps until that "
                "one calls it."
            )
        return ModelGone(f"The model server of {name} lives but does not answer. `%stop_model` ends it.")

    def start_one(self, tried: Sequence[Attachment], ticket: Ticket) -> None:
        """Wake or replace a replica for a call that finds none. Raises ModelGone, and the errors of a load."""
        if not self.mine:
            raise self.why_gone()

        def none_open() -> bool:
            return not any(each.attachment.open and each.attachment not in tried for each in self._all)

        def start() -> None:
            self.clean_up(tried)
            asleep = [each for each in self._all if each.asleep]
            ended = asleep or [each for each in self._all if self.replaceable(each)]
            if not ended or self._stopped.is_set():
                raise self.why_gone()
            self._start(ended[0], ticket, None)

        self._flight.run(none_open, start, ticket)

    def wake(self, ticket: Ticket, report: Report | None) -> None:
        """Start all replicas that sleep and, of several, those that ended otherwise. Raises the errors of a load."""
        self.clean_up()
        hope = any(each.alive or each.asleep or self.replaceable(each) for each in self._all)
        if self._stopped.is_set() or not hope:
            raise self.why_gone()
        for replica in self._all if self.mine else ():
            if not replica.attachment.open:
                replica.forget_attempts()
                self._start_if_ended(replica, ticket, report)

    def wake_one_more(self) -> None:
        """Wake a sleeping replica in the background: the others are busy."""
        for replica in self._all:
            if replica.asleep and replica.hopeful and not replica.wanted:
                replica.wanted = True
                self._tend_soon()
                return

    def continue_on(self, replica: Replica, attachment: Attachment) -> None:
        """Put an attachment that was loaded again in the place of a replica. Raises ModelStopped if all were stopped
        meanwhile.
        """
        with self._lock:
            if self._stopped.is_set():
                raise self.why_gone()
            replica.continue_on(attachment)
        if self._several:
            attachment.on_end(self._tend_soon)

    def clean_up(self, unresponsive: Sequence[Attachment] = ()) -> None:
        """Clean up ended replicas. Clean up `unresponsive` ones even while their leash still holds its lock."""
        for replica in self._all if self.mine else ():
            if replica.attachment in unresponsive or not replica.attachment.alive:
                replica.attachment.clean_up()

    def _start(self, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool = False) -> None:
        died = replica.dead
        try:
            self._reload(replica, ticket, report, background=background)
        except (LoadCancelled, CancelledError):
            raise
        except Exception as error:
            replica.count_attempt(str(error))
            raise
        if died:
            replica.count_attempt()
        else:
            replica.forget_attempts()

    def _start_if_ended(
        self, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool = False
    ) -> None:
        def ended() -> bool:
            return not replica.attachment.attached

        self._flight.run(ended, lambda: self._start(replica, ticket, report, background=background), ticket)

    def _tend_soon(self) -> None:
        if not self.mine:  # the lock may be held by a thread that a fork does not have
            return
        with self._lock:
            if self._tending:
                return
            self._tending = True
        threading.Thread(target=self._tend, name="gpumodels replicas", daemon=True).start()

    def _tend(self) -> None:
        """Start missing replicas, one after the other, until none is missing."""
        while (replica := self._next_missing()) is not None:
            if self._stopped.wait(replica.pause):
                continue
            with suppress(Exception):  # it is counted, and tried again later
                self._start_if_ended(replica, self._ticket, None, background=True)

    def _next_missing(self) -> Replica | None:
        with self._lock:
            missing = [
                each for each in self._all if self.replaceable(each) or (each.asleep and each.wanted and each.hopeful)
            ]
            self._tending = bool(missing) and not self._stopped.is_set()
            return min(missing, key=lambda each: each.pause) if self._tending else None
