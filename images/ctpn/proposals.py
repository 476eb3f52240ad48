"""Text proposals: narrow slices of text, decoded from what the network says of each cell of its grid.

Tian et al. 2016, section 3.1: at every cell stand ten anchors of one width and growing height; for each the network gives
a score and where the slice truly lies vertically. Slices keep the grid's columns, so only slices of one column can overlap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

#: Width of an anchor, and of a cell, in pixels of the network's input.
WIDTH = 16
#: Heights of the anchors in pixels: 11, each next one 1 / 0.7 of the one before (section 3.1).
HEIGHTS = np.array([11, 16, 23, 33, 48, 68, 97, 139, 198, 283], np.float32)


class Proposals(NamedTuple):
    """`column` int64 [N] counts cells from the left; `top`, `bottom` float32 [N] pixels; `score` float32 [N] from 0 to 1."""

    column: Array
    top: Array
    bottom: Array
    score: Array

    def __getitem__(self, which: Any) -> Proposals:  # type: ignore[override]
        return Proposals(*(np.asarray(field)[which] for field in tuple.__iter__(self)))


def decode(scores: Array, offsets: Array, threshold: float) -> Proposals:
    """The proposals above `threshold`, from `scores` [10, h, w] and `offsets` [10, 2, h, w] (centre, log height)."""
    anchor, row, column = np.nonzero(scores >= threshold)
    shift, stretch = offsets[anchor, :, row, column].T
    height = HEIGHTS[anchor] * np.exp(np.minimum(stretch, 4))
    centre = (row + 0.5) * WIDTH + shift * HEIGHTS[anchor]  # equation 2 of the paper
    limit = np.float32(scores.shape[1] * WIDTH)
    top, bottom = np.clip(centre - height / 2, 0, limit), np.clip(centre + height / 2, 0, limit)
    return Proposals(column, top, bottom, scores[anchor, row, column])


def suppress(proposals: Proposals, overlap: float) -> Proposals:
    """Drop what lies over a better proposal of its column by more than `overlap` (intersection over union)."""
    order = np.lexsort((-proposals.score, proposals.column))
    kept: list[int] = []
    starts = np.flatnonzero(np.diff(proposals.column[order], prepend=-1))
    for group in np.split(order, starts[1:]):
        best: list[int] = []
        for index in group:
            if all(vertical_overlap(proposals, index, other) <= overlap for other in best):
                best.append(index)
        kept.extend(best)
    return proposals[np.array(kept, np.int64)]


def vertical_overlap(proposals: Proposals, one: int, other: int) -> float:
    """Intersection over union of two proposals' vertical extents."""
    shared = min(proposals.bottom[one], proposals.bottom[other]) - max(proposals.top[one], proposals.top[other])
    union = max(proposals.bottom[one], proposals.bottom[other]) - min(proposals.top[one], proposals.top[other])
    return float(max(shared, 0) / union) if union > 0 else 1.0
