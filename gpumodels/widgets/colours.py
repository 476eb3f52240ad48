"""A colour for each holder of memory: its kind tells the hue, its place among its kind the shade."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PALETTE = {
    "model": ["#3f7fd4", "#2a9d8f", "#7b61c9", "#1fa3cf", "#5f9134", "#4b5fc0"],
    "kernel": ["#e08a1e", "#d1495b", "#b8860b", "#c75c9d"],
    "process": ["#8d6e63", "#a98467", "#6d5a52"],
    "others": ["#8c8c8c"],
    "unaccounted": ["#b8b8b8"],
}

#: The same for the browser.
SCRIPT = f"const COLOURS = {json.dumps(_PALETTE)};\n"


class Colours:
    """Gives out colours in the order in which holders are met."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}

    def of(self, share: Mapping[str, Any]) -> str:
        """The colour of a share's holder, as CSS; the same on every device."""
        key = (share["kind"], share["instance"] or share["kernel_id"] or share["name"])
        if key not in self._given:
            palette = _PALETTE[share["kind"]]
            before = sum(kind == share["kind"] for kind, _ in self._given)
            self._given[key] = palette[before % len(palette)]
        return self._given[key]
