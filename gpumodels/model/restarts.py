"""`Restarts`: loading replicas again that sleep or died, one at a time."""

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
    """The function that loads a replica again, and passes the new attachment to `Restarts.continue_on`."""

    def __call__(self, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool) -> None:
        """Load the replica again.

        `ticket` is the `Ticket` of the call that waits for the load. Ending it cancels the load. Without a `report` the
        load is shown by `default_report()`. A load in the `background` shows nothing, because no call waits for it.
        """


class SingleFlight:
    """A lock that lets one start run at a time. Threads that come meanwhile wait for it and share its outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = 0
        self._error: GpumodelsError | None = None

    def run(self, needed: Callable[[], bool], start: Callable[[], None], ticket: Ticket) -> None:
        """Run `start` if `needed()` is true. If another thread is starting, wait for it and share its outcome.

        Raises the error of the start. If the start of the other thread is cancelled, this thread runs `start` instead.
        Raises CancelledError if the ticket was ended.
        """
        ended_before = self._ended
        with self._lock:
            ticket.check()
            if not needed():
                return
            if self._ended > ended_before and self._error is not None:
                # A new error for each thread: the tracebacks of several threads would be mixed in one error.
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
    """The restarts of a handle's replicas. Threads may use the object at the same time.

    A call that finds no replica starts one. If a handle has several replicas, those that died are also started again in
    the background.
    """

    def __init__(self, replicas: Sequence[Replica], reload: Reload) -> None:
        self._all = replicas
        self._several = len(replicas) > 1
        self._reload = reload
        #: The process that loaded the replicas. A fork of it can only call them, not start or end them.
        self.pid = os.getpid()
        self._flight = SingleFlight()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._ticket = Ticket()  # cancels the starts in the background
        self._restarting = False
        for replica in replicas if self._several else ():
            replica.attachment.on_end(self._restart_missing_soon)

    @property
    def mine(self) -> bool:
        """True if this process loaded the replicas, False in a fork of it."""
        return os.getpid() == self.pid

    @property
    def stopped(self) -> bool:
        """True if `stop` was called: no replica is started any more."""
        return self._stopped.is_set()

    def stop(self) -> list[Attachment]:
        """Prevent all further starts, and return the attachments that must be ended."""
        with self._lock:
            self._stopped.set()
            attachments = [each.attachment for each in self._all]
        self._ticket.end()
        return attachments

    def replaceable(self, replica: Replica) -> bool:
        """Return True if the replica died, is one of several, and will be started again."""
        return self._several and replica.dead and replica.hopeful and not self._stopped.is_set()

    def why_gone(self, attachment: Attachment | None = None) -> ModelGone:
        """Return the error for a call that no replica, or not the one with `attachment`, can take."""
        attachments = [each.attachment for each in self._all] if attachment is None else [attachment]
        name = self._all[0].record.model
        errors = [each.error for each in attachments if each.error is not None]
        if errors:
            found = min(errors, key=lambda each: not isinstance(each, ModelStopped))
            return type(found)(*found.args)  # a new error, because each raise adds frames to the traceback of an error
        if not self.mine:
            return ModelGone(
                f"The model server of {name} is gone: it ended with the process that loaded it, or sleeps until that "
                "process calls it."
            )
        return ModelGone(f"The model server of {name} lives but does not answer. `%stop_model` ends it.")

    def start_one(self, tried: Sequence[Attachment], ticket: Ticket) -> None:
        """Wake or replace a replica for a call, unless one is open. Those with an attachment in `tried` do not count.

        Raises ModelGone if no replica can be started, and the errors of a load.
        """
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
        """Start all replicas that sleep, and those that died if there are several replicas.

        Raises ModelGone if no replica can be started, and the errors of a load.
        """
        self.clean_up()
        hope = any(each.alive or each.asleep or self.replaceable(each) for each in self._all)
        if self._stopped.is_set() or not hope:
            raise self.why_gone()
        for replica in self._all if self.mine else ():
            if not replica.attachment.open:
                replica.forget_attempts()
                self._start_if_ended(replica, ticket, report)

    def wake_one_more(self) -> None:
        """Wake a sleeping replica in the background, because the others are busy."""
        for replica in self._all:
            if replica.asleep and replica.hopeful and not replica.wanted:
                replica.wanted = True
                self._restart_missing_soon()
                return

    def continue_on(self, replica: Replica, attachment: Attachment) -> None:
        """Use `attachment`, made by a new load, for a replica. Raises ModelStopped if `stop` was called meanwhile."""
        with self._lock:
            if self._stopped.is_set():
                raise self.why_gone()
            replica.continue_on(attachment)
        if self._several:
            attachment.on_end(self._restart_missing_soon)

    def clean_up(self, unresponsive: Sequence[Attachment] = ()) -> None:
        """Clean up ended replicas. Clean up `unresponsive` ones even while their leash lives."""
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

    def _restart_missing_soon(self) -> None:
        if not self.mine:  # in a fork the lock may stay locked: the thread that would release it does not exist there
            return
        with self._lock:
            if self._restarting:
                return
            self._restarting = True
        threading.Thread(target=self._restart_missing, name="gpumodels replicas", daemon=True).start()

    def _restart_missing(self) -> None:
        """Start replicas that died, or that sleep and are wanted, one after the other until none is left."""
        while (replica := self._next_missing()) is not None:
            if self._stopped.wait(replica.pause):
                continue
            with suppress(Exception):  # the attempt is counted, and repeated after a pause
                self._start_if_ended(replica, self._ticket, None, background=True)

    def _next_missing(self) -> Replica | None:
        with self._lock:
            missing = [
                each for each in self._all if self.replaceable(each) or (each.asleep and each.wanted and each.hopeful)
            ]
            self._restarting = bool(missing) and not self._stopped.is_set()
            return min(missing, key=lambda each: each.pause) if self._restarting else None
