"""Durations, sizes, rates and moments as text, with one rule for each in all views.

`widgets/front/presentation.js` and `labextension/src/presentation.ts` follow the same rules in the browser.
`labextension/tests/presentation.json` has the test cases of all three.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400  # seconds
#: Seconds from which a duration is in hours, and in days.
_IN_HOURS, _IN_DAYS = 90 * _MINUTE, 48 * _HOUR
_MB, _GB = 10**6, 10**9


def duration(seconds: float) -> str:
    """Return a duration in one unit: "12 s", "85 min", "1.9 h", "3 d".

    Durations below 90 minutes are in minutes, and below 48 hours in hours. Only hours have a decimal. The value is
    rounded down, so the text never shows more time than has passed. A negative duration, which comes from clocks that
    differ, is "0 s".
    """
    if seconds < _MINUTE:
        return f"{max(0, math.floor(seconds))} s"
    if seconds < _IN_HOURS:
        return f"{math.floor(seconds / _MINUTE)} min"
    if seconds < _IN_DAYS:
        return f"{math.floor(seconds / (_HOUR / 10)) / 10:.1f}".removesuffix(".0") + " h"
    return f"{math.floor(seconds / _DAY)} d"


def size(memory: int | None) -> str:
    """Return a number of bytes in units of powers of ten: "1.2 GB", "35 MB"; "? GB" for None."""
    if memory is None:
        return "? GB"
    if memory >= _GB or not memory:
        return f"{_tenths(memory / _GB)} GB"
    return f"{_rounded(memory / _MB)} MB"


def latency(seconds: float) -> str:
    """Return the duration of a call: "0.3 ms", "12 ms", "1.5 s"."""
    if seconds >= 1:
        return f"{_tenths(seconds)} s"
    milliseconds = 1000 * seconds
    return f"{_number(milliseconds)} ms"


def rate(per_second: float) -> str:
    """Return a number of calls per second, without the unit: "0.5", "12"."""
    return _number(per_second)


def clock(moment: float, now: float | None = None, *, seconds: bool = False) -> str:
    """Return the local time of day of a moment: "14:03". The date precedes it if the moment is not of today.

    `moment` is in seconds since the epoch, and so is `now`, the present. With `seconds` the text is "14:03:25". The
    form does not depend on the user's language, so notebooks and the sidebar show the same text.
    """
    then, today = _local(moment), _local(time.time() if now is None else now)
    text = f"{then:%H:%M:%S}" if seconds else f"{then:%H:%M}"
    return text if then.date() == today.date() else f"{then:%Y-%m-%d} {text}"


def date_and_clock(moment: float) -> str:
    """Return the local date and time of day: "2025-10-09 14:03". Use it for text that is read on other days."""
    return f"{_local(moment):%Y-%m-%d %H:%M}"


def moment(seconds: float | None) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, for programs; "" for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def printable(text: str) -> str:
    """Return the text with "?" for control characters, because names of files and programs may contain any."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone()


def _number(value: float) -> str:
    return _tenths(value) if value < 10 else str(_rounded(value))  # noqa: PLR2004  larger numbers need no decimal


def _tenths(value: float) -> str:
    return f"{_rounded(10 * value) / 10:.1f}"


def _rounded(value: float) -> int:
    """Round half up. The formats of Python and of browsers round halves differently."""
    return math.floor(value + 0.5)
