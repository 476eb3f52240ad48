"""Joins text proposals into text lines: four corner points each, so that a slanted line keeps its slant.

Tian et al. 2016, section 3.2: every proposal looks for its nearest fitting neighbour to the right, and the two are
joined when the choice is mutual; chains of such pairs are lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from proposals import WIDTH

if TYPE_CHECKING:
    from proposals import Proposals

    Array = np.ndarray[Any, Any]

#: How far apart two neighbours may stand, in pixels of the network's input (section 3.2) ...
_GAP = 50
#: ... and how much of the lower one's height they must share, and how alike their heights must be.
_SHARED = 0.7
_ALIKE = 0.6
#: A line of fewer proposals, or of a lower mean score, is taken for noise.
_FEWEST = 2
_SURE = 0.8


def join(proposals: Proposals) -> tuple[Array, Array]:
    """The lines: corners float32 [N, 4, 2] (x, y; top left, top right, bottom right, bottom left) and scores float32 [N].

    In reading order: from the top down, and from left to right where lines stand beside each other.
    """
    found = [chain for chain in _chains(proposals) if len(chain) >= _FEWEST]
    corners = np.array([_corners(proposals, chain) for chain in found], np.float32).reshape(-1, 4, 2)
    scores = np.array([proposals.score[chain].mean() for chain in found], np.float32)
    sure = scores >= _SURE
    corners, scores = corners[sure], scores[sure]
    order = reading_order(corners)
    return corners[order], scores[order]


def _chains(proposals: Proposals) -> list[list[int]]:
    """Indices of each line's proposals from left to right."""
    right, left = _neighbours(proposals, 1), _neighbours(proposals, -1)
    follower = {one: other for one, other in right.items() if left.get(other) == one}
    chains = []
    for start in sorted(set(range(len(proposals.column))) - set(follower.values())):
        chain = [start]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        chains.append(chain)
    return chains


def _neighbours(proposals: Proposals, step: int) -> dict[int, int]:
    """For each proposal the best one that fits in the nearest column, to the right (step 1) or left (-1)."""
    columns: dict[int, Array] = {
        int(column): np.flatnonzero(proposals.column == column) for column in np.unique(proposals.column)
    }
    chosen = {}
    for one, column in enumerate(proposals.column.tolist()):
        for distance in range(1, _GAP // WIDTH + 1):
            others = columns.get(column + step * distance)
            if others is None:
                continue
            fitting = others[_fits(proposals, one, others)]
            if fitting.size:
                chosen[one] = int(fitting[np.argmax(proposals.score[fitting])])
                break
    return chosen


def _fits(proposals: Proposals, one: int, others: Array) -> Array:
    """Which of `others` are at about the same height, and about as high, as `one`."""
    top, bottom = proposals.top[one], proposals.bottom[one]
    tops, bottoms = proposals.top[others], proposals.bottom[others]
    height, heights = bottom - top, bottoms - tops
    low, high = np.minimum(height, heights), np.maximum(height, heights)
    shared = np.minimum(bottom, bottoms) - np.maximum(top, tops)
    return (shared >= _SHARED * low) & (low >= _ALIKE * high)


def _corners(proposals: Proposals, chain: list[int]) -> list[tuple[float, float]]:
    """Straight lines through the tops and through the bottoms, from the chain's first to its last column."""
    centres = (proposals.column[chain] + 0.5) * WIDTH
    left, right = centres[0] - WIDTH / 2, centres[-1] + WIDTH / 2
    middle = (left + right) / 2
    slope, _ = np.polyfit(centres - middle, (proposals.top[chain] + proposals.bottom[chain]) / 2, 1)
    top = np.mean(proposals.top[chain] - slope * (centres - middle))
    bottom = np.mean(proposals.bottom[chain] - slope * (centres - middle))
    rise = slope * (right - left) / 2
    return [(left, top - rise), (right, top + rise), (right, bottom + rise), (left, bottom - rise)]


def reading_order(corners: Array) -> Array:
    """Order of lines for a reader: rows from the top down, within a row from left to right."""
    middle = corners[:, :, 1].mean(axis=1)
    height = (corners[:, 3, 1] - corners[:, 0, 1] + corners[:, 2, 1] - corners[:, 1, 1]) / 2
    rows: list[list[int]] = []
    for index in np.argsort(middle, kind="stable").tolist():
        row = rows[-1] if rows else []
        if row and middle[index] - middle[row[0]] < min(height[index], height[row[0]]) / 2:
            row.append(index)
        else:
            rows.append([index])
    return np.array([i for row in rows for i in sorted(row, key=lambda i: corners[i, 0, 0])], np.int64)
