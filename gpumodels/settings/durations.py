"""Durations as people write them."""

from __future__ import annotations

import math
import re

#: What a duration may look like, to end a message with.
EXAMPLES = "a duration such as 90s, 10m, 2h or never"

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?) ?([smhd]?)", re.ASCII)


def duration(text: object) -> float:
    """The seconds that "90s", "10m", "2h", "1.5d", "600" or 600 stand for; "never" and "forever" are infinite.

    Raises ValueError, saying what is allowed, for anything else, for 0, and for what is below it.
    """
    if text in ("never", "forever"):
        return math.inf
    seconds = _seconds(text)
    if not 0 < seconds <= math.inf:
        raise ValueError(f"must be {EXAMPLES}, not {text!r:.80}")
    return seconds


def _seconds(text: object) -> float:
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return _bounded(text)
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    return _bounded(float(written[1]) * _SECONDS[written[2]]) if written else math.nan


def _bounded(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of more than 300 digits
        return math.inf
