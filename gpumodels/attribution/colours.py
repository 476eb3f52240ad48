"""The colours of the holders of memory. The hue shows the kind of a holder; holders of a kind have different shades.

Colours are computed from the holders alone, so all processes that see the same holders show the same colours.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gpumodels.attribution.snapshot import Share

#: CSS colours that are easily seen on a light and on a dark background.
PALETTE = {
    "model": ("#3f7fd4", "#2a9d8f", "#7b61c9", "#1fa3cf", "#5f9134", "#4b5fc0"),
    "kernel": ("#e08a1e", "#d1495b", "#b8860b", "#c75c9d"),
    "process": ("#8d6e63", "#a98467", "#6d5a52"),
    "others": ("#8c8c8c",),
    "unaccounted": ("#b8b8b8",),
}
_DRAWS = 64  # if one of six colours is free, the chance that no id of 64 has that colour is 1 in 117,000

#: The kind of a holder, and its id or, if it has none, its name.
Key = tuple[str, str]


def key(share: Share) -> Key:
    """Return the identity of a share's holder. It is the same on all devices."""
    return share.kind, share.instance or share.kernel_id or share.name


def assign(shares: Iterable[Share]) -> dict[Key, str]:
    """Return the colour of each holder. `shares` are the shares of all devices at one moment.

    Holders choose in the order of their keys. A holder gets the shade that `index` returns for it, or the next one if
    that is taken. Two holders of a kind have the same shade only if the kind has more holders than shades.
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
    return min(shades, key=lambda shade: used[kind, shade])  # the first of the least used shades


def index(name: str, kind: str = "model") -> int:
    """Return the shade that a holder prefers, as an index into its kind's palette. A model's `name` is its id."""
    return zlib.crc32(name.encode()) % len(PALETTE[kind])


def distinct_id(candidates: Iterator[str], running: Iterable[str]) -> str:
    """Return the first candidate with a colour that the fewest `running` instances have, or else the 64th.

    So the models of a user have different colours, and a model keeps its colour when another one ends.
    """
    used = Counter(map(index, running))
    fewest = min(used[shade] for shade in range(len(PALETTE["model"])))
    drawn = next(candidates)
    for _ in range(_DRAWS - 1):
        if used[index(drawn)] == fewest:
            break
        drawn = next(candidates)
    return drawn
