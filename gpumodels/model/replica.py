"""`Replica`: one of the instances behind a handle. A restart gives it a new attachment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpumodels.errors import ModelStopped
from gpumodels.lease import uninterrupted

if TYPE_CHECKING:
    from gpumodels.lease import InstanceRecord
    from gpumodels.model.attachment import Attachment
    from gpumodels.model.freed import FreedMemory

#: Seconds of pause before the first, second and third restart of a replica that died or could not be woken.
_PAUSES = (0.0, 2.0, 10.0)
#: Seconds after which a restart is no longer counted.
_WITHIN = 600.0


class Replica:
    """One of the instances behind a handle. Only `Restarts` changes a replica, under a lock; any thread may read it."""

    def __init__(self, number: int, attachment: Attachment) -> None:
        self.number = number
        self.attachment = attachment
        #: A token for each call in flight. A set can be changed by threads without a lock.
        self.calls: set[object] = set()
        #: True if a call found all other replicas busy while this one slept. So this replica will be woken.
        self.wanted = False
        #: The error text of the last restart, "" if it succeeded.
        self.trouble = ""
        self._attempts: list[float] = []

    @property
    def record(self) -> InstanceRecord:
        """The record of the replica's instance."""
        return self.attachment.record

    @property
    def alive(self) -> bool:
        """True if the replica can be called."""
        return self.attachment.alive

    @property
    def asleep(self) -> bool:
        """True if the replica gave its memory back and can be woken."""
        return self.attachment.asleep

    @property
    def freed(self) -> FreedMemory | None:
        """The memory that the replica gave back; None while it runs."""
        return self.attachment.freed

    @property
    def ending(self) -> bool:
        """True if the replica has ended and the reason is not known yet."""
        return self.attachment.attached and not self.alive

    @property
    def dead(self) -> bool:
        """True if the replica ended and was not stopped."""
        return self.attachment.error is not None and not isinstance(self.attachment.error, ModelStopped)

    @property
    def hopeful(self) -> bool:
        """True if the replica may be restarted in the background: there were fewer than three restarts recently."""
        return len(self._recent_attempts()) < len(_PAUSES)

    @property
    def pause(self) -> float:
        """Seconds until the replica may be restarted in the background."""
        recent = self._recent_attempts()
        return max(0.0, recent[-1] + _PAUSES[len(recent)] - time.monotonic()) if recent and self.hopeful else 0.0

    def count_attempt(self, trouble: str = "") -> None:
        """Count a restart. `trouble` is its error text, "" if it succeeded."""
        self.trouble = trouble
        self._attempts = [*self._attempts, time.monotonic()][-len(_PAUSES) :]

    def forget_attempts(self) -> None:
        """Count restarts from zero again, because the replica woke or a user asked to wake it."""
        self._attempts = []

    def continue_on(self, attachment: Attachment) -> None:
        """Replace the attachment by the one of a new load."""
        with uninterrupted():  # an interrupt in between would leave a note that the model sleeps
            self.attachment.woken()
            self.attachment, self.wanted, self.trouble = attachment, False, ""

    def _recent_attempts(self) -> list[float]:
        return [each for each in self._attempts if each > self.attachment.ended - _WITHIN]
