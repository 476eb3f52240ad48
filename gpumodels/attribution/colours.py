"""A colour for each holder of memory: the hue tells its kind, the shade one holder of a kind from another.

Colours are computed from the holders alone, so every process that sees the same holders shows the same colours.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gpumodels.attribution.snapshot import Share

#: CSS colours that stand out from light and from dark ground.
PALETTE = {
    "model": ("#3f7fd4", "#2a9d8f", "#7b61c9", "#1fa3cf", "#5f9134", "#4b5fc0"),
    "kernel": ("#e08a1e", "#d1495b", "#b8860b", "#c75c9d"),
    "process": ("#8d6e63", "#a98467", "#6d5a52"),
    "others": ("#8c8c8c",),
    "unaccounted": ("#b8b8b8",),
}
_DRAWS = 64  # with one of six colours free, all 64 ids miss it once in 117,000 times

#: The kind of a holder and its id, or its name where it has no id.
Key = tuple[str, str]


def key(share: Share) -> Key:
    """Return the identity of a share's holder, the same on all devices."""
    return share.kind, share.instance or share.kernel_id or share.name


def assign(shares: Iterable[Share]) -> dict[Key, str]:
    """Return the colour of each holder, where `shares` are those of all devices at one moment.

    A holder has the shade that it prefers, unless a holder before it (sorted by key) has that: then it has the next
    one. Two holders of a kind share a shade only where the kind has more holders than shades.
    """
    colours: dict[Key, str] = {}
    used: Counter[tuple[str, int]] = Counter()
    for kind, name in sorted({key(share) for share in shares}):
        shade = _shade(kind, name, used)
        used[kind, shade] += 1
        colours[kind, name] = PALETTE[kind][shade]
    return colours


def _shade(kind: str, name: str, used: Mapping[tuple[str, int], int]) -> int:
    preferred, length = index(name, kind), len(PALETTE[kind])
    shades = [(preferred + step) % length for step in range(length)]
    return min(shades, key=lambda shade: used[kind, shade])  # the first of those that are used least


def index(name: str, kind: str = "model") -> int:
    """Return the shade that a holder prefers, as an index of its kind's palette; `name` is a model's instance id."""
    return zlib.crc32(name.encode()) % len(PALETTE[kind])


def distinct_id(candidates: Iterator[str], running: Iterable[str]) -> str:
    """Return the first candidate whose colour the fewest of the `running` instances have, or else the 64th.

    So the models of one user look different, and none changes its colour when another one ends.
    """
    used = Counter(map(index, running))
    fewest = min(used[shade] for shade in range(len(PALETTE["model"])))
    drawn = next(candidates)
    for _ in range(_DRAWS - 1):
        if used[index(drawn)] == fewest:
            break
        drawn = next(candidates)
    return drawn
