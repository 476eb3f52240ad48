"""How many calls ended in the last minute, and how long they took: a histogram for each second, of fixed size."""

from __future__ import annotations

from array import array

import numpy as np

_SECONDS = 60
_STEPS = 8  # of a doubling, so that a duration is told to within 6 %
_BINS = _STEPS * 34  # from 1 µs to five hours; what is shorter counts as that, and what is longer
_NONE = array("I", [0]) * _BINS
_SECOND = 1_000_000_000  # ns


class Minute:
    """Moments and durations are in ns, moments by `time.monotonic_ns()`; to be guarded where threads share it."""

    def __init__(self, now: int) -> None:
        self._began = now
        #: For each of the last seconds, in a ring: which one it is, how many calls ended, and how many took how long.
        self._which = [-1] * _SECONDS
        self._ended = [0] * _SECONDS
        self._took = array("I", [0]) * (_SECONDS * _BINS)

    def answered(self, now: int, took: int) -> None:
        """One call that was answered."""
        self._took[self._slot(now) * _BINS + _bin(took)] += 1

    def failed(self, now: int) -> None:
        """One call that ended otherwise."""
        self._slot(now)

    def _slot(self, now: int) -> int:
        """Where the second of a call lies, which is counted there."""
        second = now // _SECOND
        slot = second % _SECONDS
        if self._which[slot] != second:
            self._which[slot] = second
            self._ended[slot] = 0
            self._took[slot * _BINS : (slot + 1) * _BINS] = _NONE
        self._ended[slot] += 1
        return slot

    def per_second(self, now: int) -> float:
        """Calls that ended, per second of the last minute, or of the time since the beginning where that is less."""
        span = min(now - self._began, (_SECONDS - 1) * _SECOND + now % _SECOND)  # the first second is half over
        return sum(self._ended[slot] for slot in self._current(now)) * _SECOND / max(span, _SECOND)

    def quantiles(self, now: int, *shares: float) -> list[int]:
        """The durations below which these shares of the answered calls stayed, 0 where there was none."""
        rows = np.frombuffer(self._took, np.uintc).reshape(_SECONDS, _BINS)
        sums = rows[self._current(now)].sum(axis=0).cumsum()
        total = int(sums[-1])
        return [_middle(int(np.searchsorted(sums, share * total))) if total else 0 for share in shares]

    def _current(self, now: int) -> list[int]:
        oldest = now // _SECOND - _SECONDS
        return [slot for slot, second in enumerate(self._which) if second > oldest]


def _bin(nanoseconds: int) -> int:
    """The number of its doubling since 1024 ns, and which eighth of that it is in."""
    doubling = nanoseconds.bit_length() - 11
    if doubling < 0:
        return 0
    return min(doubling * _STEPS + (nanoseconds >> doubling + 7) - _STEPS, _BINS - 1)


def _middle(index: int) -> int:
    """The duration in the middle of a bin."""
    doubling, step = divmod(index, _STEPS)
    return ((_STEPS + step << 1) + 1) << (doubling + 6)
