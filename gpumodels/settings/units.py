"""Durations and sizes of memory as people write them."""

from __future__ import annotations

import math
import re

#: The allowed values, for messages about a wrong value, after "must be".
DURATION_EXAMPLES = "a duration such as 90s, 10m, 2h or never"
SIZE_EXAMPLES = 'a size such as "1.5 GiB" or a number of bytes'

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *(?:([KMGT])(i?))?B?", re.ASCII | re.IGNORECASE)


def duration(given: object) -> float:
    """Return the seconds that "90s", "10m", "2h", "1.5d", "600" or 600 stand for; "never" and "forever" are infinite.

    Raises ValueError for anything else, and for 0 and less. The message lists what is allowed.
    """
    seconds = math.inf if given in ("never", "forever") else _seconds(given)
    if not 0 < seconds <= math.inf:
        raise ValueError(f"must be {DURATION_EXAMPLES}, not {given!r:.80}")
    return seconds


def size(given: object) -> int:
    """Return the number of bytes of a size such as "4GiB", "1.5 GB", "512 MiB", "4G", "1000" or 1000.

    K, M, G and T are powers of 1000, and Ki, Mi, Gi and Ti are powers of 1024. Upper and lower case are equal. The
    result is rounded to a whole number.

    Raises ValueError if it is not such a size, or is 2^63 bytes or more. The message lists what is allowed.
    """
    number = given if isinstance(given, int) and not isinstance(given, bool) else _bytes(given)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"must be {SIZE_EXAMPLES}, not {given!r:.80}")
    return number


def _seconds(given: object) -> float:
    """Return the seconds of a duration other than "never"; NaN for anything that is not a duration."""
    if isinstance(given, str) and (match := _DURATION.fullmatch(given)):
        return float(match[1]) * _SECONDS[match[2]]
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        return math.nan
    try:
        return float(given)
    except OverflowError:  # an integer of more than 300 digits
        return math.inf


def _bytes(text: object) -> int:
    """Return the bytes of a size that is a text; -1 for anything that is not a size."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None or len(match[1]) > len("9223372036854775807"):
        return -1
    unit = float(1024 if match[3] else 1000)
    return round(float(match[1]) * unit ** " KMGT".index((match[2] or " ").upper()))
