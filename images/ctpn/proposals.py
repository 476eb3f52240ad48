"""Text proposals: narrow slices of text, decoded from the network's outputs for each cell of its grid.

Tian et al. 2016, section 3.1: every cell has ten anchors of the same width and of growing height. For each anchor the
network returns a score, and the vertical position and height of the slice. The horizontal position is that of the
grid's column, so only slices of the same column can overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: The width of an anchor and of a cell, in pixels of the network's input.
WIDTH = 16
#: The heights of the anchors in pixels, from 11 to 283. Each is the previous one divided by 0.7.
HEIGHTS = np.array([11, 16, 23, 33, 48, 68, 97, 139, 198, 283], np.float32)
#: The largest natural logarithm of a slice's height divided by its anchor's. It keeps exp from overflowing.
_STRETCH = 4.0


@dataclass(frozen=True)
class Proposals:
    """N proposals, with one array [N] for each property."""

    #: int64: the column of the grid, counted from the left.
    column: Array
    #: float32: pixels of the network's input.
    top: Array
    bottom: Array
    #: float32: from 0 to 1.
    score: Array

    def __len__(self) -> int:
        return len(self.column)

    def take(self, which: Array) -> Proposals:
        """Return the proposals at the indices `which`, in that order."""
        return Proposals(self.column[which], self.top[which], self.bottom[which], self.score[which])


def decode(scores: Array, offsets: Array, threshold: float) -> Proposals:
    """Decode the proposals with a score of at least `threshold`.

    `scores` has the shape [10, h, w] and `offsets` [10, 2, h, w]: the centre, and the logarithm of the height.
    """
    anchor, row, column = np.nonzero(scores >= threshold)
    shift, stretch = offsets[anchor, :, row, column].T
    height = HEIGHTS[anchor] * np.exp(np.minimum(stretch, _STRETCH))  # equation 2 of the paper
    centre = (row + 0.5) * WIDTH + shift * HEIGHTS[anchor]
    lowest = scores.shape[1] * WIDTH
    top, bottom = (np.clip(edge, 0, lowest).astype(np.float32) for edge in (centre - height / 2, centre + height / 2))
    return Proposals(column, top, bottom, scores[anchor, row, column])


def suppress(proposals: Proposals, overlap: float) -> Proposals:
    """Drop proposals that overlap a better one of their column by more than `overlap` (intersection over union)."""
    order = np.lexsort((-proposals.score, proposals.column))  # column by column, best first
    starts = np.flatnonzero(np.diff(proposals.column[order], prepend=-1))
    kept: list[int] = []
    for rest in np.split(order, starts[1:]):
        while rest.size:
            best, rest = rest[0], rest[1:]  # noqa: PLW2901 - the rest of the column
            kept.append(best)
            rest = rest[_likeness(proposals, best, rest) <= overlap]  # noqa: PLW2901
    return proposals.take(np.array(kept, np.int64))


def _likeness(proposals: Proposals, one: int, others: Array) -> Array:
    """Return the intersection over union of the vertical extents of `one` and of each of `others`."""
    return likeness(proposals.top[one], proposals.bottom[one], proposals.top[others], proposals.bottom[others])


def likeness(top: float, bottom: float, tops: Array, bottoms: Array) -> Array:
    """Return the intersection over union of the extent from `top` to `bottom` and each of the others, from 0 to 1."""
    shared = np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops), 0)
    together = (bottom - top) + (bottoms - tops) - shared
    overlap: Array = shared / np.maximum(together, 1e-6)
    return overlap
