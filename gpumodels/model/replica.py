"""`Replica`: one of the places behind a handle, and the instance that has it now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpumodels.errors import ModelStopped
from gpumodels.lease.interrupts import uninterrupted

if TYPE_CHECKING:
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.nap import Nap
    from gpumodels.model.stay import Stay

#: How often one that dies, or cannot be woken, is started again within so many seconds, and the pause before each.
_PAUSES, _WITHIN = (0.0, 2.0, 10.0), 600.0


class Replica:
    """What is written here is written under the lock of `Waking`; it may be read at any time."""

    def __init__(self, place: int, stay: Stay) -> None:
        self.place = place
        self.stay = stay
        #: A token for each call under way: a set is safe to add to and take from without a lock.
        self.calls: set[object] = set()
        #: Whether calls found all others busy while it slept.
        self.wanted = False
        #: Why it could not be started again.
        self.trouble = ""
        self._attempts: list[float] = []

    @property
    def record(self) -> InstanceRecord:
        return self.stay.record

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self.stay.alive

    @property
    def asleep(self) -> bool:
        """Whether it gave its memory back and can be woken."""
        return self.stay.gone is None and self.stay.nap is not None

    @property
    def nap(self) -> Nap | None:
        return self.stay.nap

    @property
    def ending(self) -> bool:
        """Whether it is not known yet what becomes of it, of one that is not alive."""
        return self.stay.gone is None and self.stay.nap is None and not self.alive

    @property
    def dead(self) -> bool:
        """Whether it ended, and not because somebody wanted it to."""
        return self.stay.gone is not None and not isinstance(self.stay.gone, ModelStopped)

    @property
    def hopeful(self) -> bool:
        """Whether it has not failed so often that it is left alone until somebody asks for it."""
        return len(self._recent()) < len(_PAUSES)

    @property
    def pause(self) -> float:
        """Seconds until it may be started again in the background."""
        recent = self._recent()
        return max(0.0, recent[-1] + _PAUSES[len(recent)] - time.monotonic()) if recent and self.hopeful else 0.0

    def attempted(self, trouble: str = "") -> None:
        """It died and was started again, or could not be."""
        self.trouble = trouble
        self._attempts = [*self._attempts, time.monotonic()][-len(_PAUSES) :]

    def forgive(self) -> None:
        """It was asked for, or woke: what failed before does not count."""
        self._attempts = []

    def continue_on(self, stay: Stay) -> None:
        with uninterrupted():  # so that nobody is told of a model that sleeps and does not
            self.stay.woken()
            self.stay, self.wanted, self.trouble = stay, False, ""

    def _recent(self) -> list[float]:
        return [each for each in self._attempts if each > self.stay.ended - _WITHIN]
