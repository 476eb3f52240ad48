"""Rate and durations of the calls of the last minute, as one histogram of fixed size for each second."""

from __future__ import annotations

from array import array

import numpy as np

_SECONDS = 60
_STEPS = 8  # bins for each doubling of the duration, so that a bin gives the duration within 6 %
_BINS = _STEPS * 34  # from 1 µs to five hours; shorter calls count in the first bin, longer ones in the last
_NONE = array("I", [0]) * _BINS
_SECOND = 1_000_000_000  # ns


class Minute:
    """The calls of the last minute. Threads that share a Minute must use it under a lock.

    Moments and durations are in ns. Moments are those of `time.monotonic_ns()`.
    """

    def __init__(self, now: int) -> None:
        self._began = now
        # A ring with one row for each of the last 60 seconds. `_which` is the second of the row, `_ended` the number
        # of calls that ended in that second, and `_took` the number of answered calls in each bin.
        self._which = [-1] * _SECONDS
        self._ended = [0] * _SECONDS
        self._took = array("I", [0]) * (_SECONDS * _BINS)

    def answered(self, now: int, took: int) -> None:
        """Count a call that was answered at `now` and took `took`."""
        self._took[self._count(now) * _BINS + _bin(took)] += 1

    def failed(self, now: int) -> None:
        """Count a call that ended at `now` without an answer."""
        self._count(now)

    def _count(self, now: int) -> int:
        """Count a call in the row of its second, and return that row."""
        second = now // _SECOND
        row = second % _SECONDS
        if self._which[row] != second:
            self._which[row] = second
            self._ended[row] = 0
            self._took[row * _BINS : (row + 1) * _BINS] = _NONE
        self._ended[row] += 1
        return row

    def per_second(self, now: int) -> float:
        """Return the number of calls that ended per second, over the last minute.

        If the server started later than a minute ago, it is the rate since its start.
        """
        span = min(now - self._began, (_SECONDS - 1) * _SECOND + now % _SECOND)  # the current second is not over
        return sum(self._ended[row] for row in self._current(now)) * _SECOND / max(span, _SECOND)

    def quantiles(self, now: int, *shares: float) -> list[int]:
        """Return quantiles of the durations of answered calls, such as the median for 0.5; 0 if there were none."""
        rows = np.frombuffer(self._took, np.uintc).reshape(_SECONDS, _BINS)
        sums = rows[self._current(now)].sum(axis=0).cumsum()
        total = int(sums[-1])
        return [_middle(int(np.searchsorted(sums, share * total))) if total else 0 for share in shares]

    def _current(self, now: int) -> list[int]:
        oldest = now // _SECOND - _SECONDS
        return [row for row, second in enumerate(self._which) if second > oldest]


def _bin(nanoseconds: int) -> int:
    """Return the bin of a duration. Each doubling from 1024 ns on has eight bins."""
    doubling = nanoseconds.bit_length() - 11
    if doubling < 0:
        return 0
    return min(doubling * _STEPS + (nanoseconds >> doubling + 7) - _STEPS, _BINS - 1)


def _middle(index: int) -> int:
    """Return the duration in the middle of a bin."""
    doubling, step = divmod(index, _STEPS)
    return ((_STEPS + step << 1) + 1) << (doubling + 6)
