"""Sizes of memory as people write them."""

from __future__ import annotations

import re

#: What a size may look like, to end a message with.
EXAMPLES = 'a size such as "1.5 GiB" or a number of bytes'

_WRITTEN = re.compile(r"(\d+(?:\.\d+)?) *(?:([KMGT])(i?))?B?", re.ASCII | re.IGNORECASE)


def size(given: object) -> int:
    """The bytes that "4GiB", "1.5 GB", "512 MiB", "4G", "1000" or 1000 stand for.

    K, M, G and T are 1000 and its powers, Ki, Mi, Gi and Ti 1024 and its, in letters of either case.

    Raises ValueError, saying what is allowed, for anything else, and for 2^63 or more.
    """
    number = given if isinstance(given, int) and not isinstance(given, bool) else _written(given)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"must be {EXAMPLES}, not {given!r:.80}")
    return number


def _written(text: object) -> int:
    """-1 where it is no size."""
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if written is None or len(written[1]) > len("9223372036854775807"):
        return -1
    unit = float(1024 if written[3] else 1000)
    return round(float(written[1]) * unit ** " KMGT".index((written[2] or " ").upper()))
