"""`Replica`: one of the places behind a handle, and the attachment that fills it now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpumodels.errors import ModelStopped
from gpumodels.lease import uninterrupted

if TYPE_CHECKING:
    from gpumodels.lease import InstanceRecord
    from gpumodels.model.attachment import Attachment
    from gpumodels.model.freed import FreedMemory

#: Pauses before each restart of a replica that dies or cannot be woken, and the seconds in which they are counted.
_PAUSES, _WITHIN = (0.0, 2.0, 10.0), 600.0


class Replica:
    """One place behind a handle. Written under the lock of `Restarts`; may be read at any time."""

    def __init__(self, number: int, attachment: Attachment) -> None:
        self.number = number
        self.attachment = attachment
        #: A token for each call in flight. A set can be changed by threads without a lock.
        self.calls: set[object] = set()
        #: Whether calls found all other replicas busy while this one slept.
        self.wanted = False
        #: Why the last restart failed.
        self.trouble = ""
        self._attempts: list[float] = []

    @property
    def record(self) -> InstanceRecord:
        """The record of its instance."""
        return self.attachment.record

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self.attachment.alive

    @property
    def asleep(self) -> bool:
        """Whether it gave its memory back and can be woken."""
        return self.attachment.asleep

    @property
    def freed(self) -> FreedMemory | None:
        """The memory it gave back; None while it runs."""
        return self.attachment.freed

    @property
    def ending(self) -> bool:
        """Whether it has ended and the reason is not known yet."""
        return self.attachment.attached and not self.alive

    @property
    def dead(self) -> bool:
        """Whether it ended without being stopped."""
        return self.attachment.error is not None and not isinstance(self.attachment.error, ModelStopped)

    @property
    def hopeful(self) -> bool:
        """Whether another restart in the background is worthwhile: it has not failed too often."""
        return len(self._recent_attempts()) < len(_PAUSES)

    @property
    def pause(self) -> float:
        """Seconds until it may be started again in the background."""
        recent = self._recent_attempts()
        return max(0.0, recent[-1] + _PAUSES[len(recent)] - time.monotonic()) if recent and self.hopeful else 0.0

    def count_attempt(self, trouble: str = "") -> None:
        """Count a restart; `trouble` says why it failed."""
        self.trouble = trouble
        self._attempts = [*self._attempts, time.monotonic()][-len(_PAUSES) :]

    def forget_attempts(self) -> None:
        """Count from zero again: somebody asked for it, or it woke."""
        self._attempts = []

    def continue_on(self, attachment: Attachment) -> None:
        """Replace the attachment by one that was loaded again."""
        with uninterrupted():  # so that no view shows a model that sleeps and does not
            self.attachment.woken()
            self.attachment, self.wanted, self.trouble = attachment, False, ""

    def _recent_attempts(self) -> list[float]:
        return [each for each in self._attempts if each > self.attachment.ended - _WITHIN]
