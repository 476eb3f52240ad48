"""Joining text proposals to text lines. A line has four corner points, so a slanted line keeps its slant.

Tian et al. 2016, section 3.2, join a proposal with its nearest fitting neighbour if each is the other's nearest. Here
this is done in two steps. First, proposals of touching or nearly touching columns are joined to fragments. Then,
fragments are joined to lines along their slant. With one step the words of a slanted line would not be joined, because
after the gap between two words the line is at another height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from proposals import WIDTH, likeness

if TYPE_CHECKING:
    from collections.abc import Callable

    from proposals import Proposals

    Array = np.ndarray[Any, Any]

#: The largest distance of neighbouring proposals of one fragment, in columns.
_COLUMNS = 2
#: The largest gap between fragments of one line, in pixels of the network's input, as in the paper, and in text
#: heights. The larger of the two counts, because the space between words grows with the letters.
_GAP = 50
_GAP_HEIGHTS = 1.0
#: Two neighbours overlap vertically by at least the fraction `_SHARED` of the smaller height. The ratio of their
#: heights is at least `_ALIKE`.
_SHARED = 0.6
_ALIKE = 0.6
#: A line with fewer proposals than `_FEWEST`, or with a lower mean score than `_SURE`, counts as noise.
_FEWEST = 2
_SURE = 0.65


class _Fragment(NamedTuple):
    """A part of a line, in pixels. `middle` is the y of its centre. `slope` is 0 if the part is too short for one."""

    members: list[int]
    left: float
    right: float
    middle: float
    height: float
    slope: float

    def middle_at(self, x: float, slope: float) -> float:
        return self.middle + slope * (x - (self.left + self.right) / 2)


def join(proposals: Proposals) -> tuple[Array, Array]:
    """Return the lines: corners float32 [N, 4, 2] (x, y; clockwise from the top left) and scores float32 [N].

    They are in reading order: from top to bottom, and lines beside each other from left to right. Corners are in
    pixels of the network's input. The score of a line is the mean score of its proposals.
    """
    fragments = [_fragment(proposals, chain) for chain in _proposal_chains(proposals)]
    members = [[i for part in chain for i in fragments[part].members] for chain in _fragment_chains(fragments)]
    lines = [_fragment(proposals, line) for line in members if len(line) >= _FEWEST]
    corners = np.array([_corners(line) for line in lines], np.float32).reshape(-1, 4, 2)
    scores = np.array([proposals.score[line.members].mean() for line in lines], np.float32)
    sure = np.flatnonzero(scores >= _SURE)
    order = sure[reading_order(corners[sure])]
    return corners[order], scores[order]


def _chains(count: int, neighbour: Callable[[int, int], int | None]) -> list[list[int]]:
    """Return chains of items, each from left to right. Items follow each other if each is the other's neighbour.

    `neighbour(item, way)` returns the neighbour to the right (way 1) or to the left (way -1).
    """
    left = [neighbour(item, -1) for item in range(count)]
    right = [neighbour(item, 1) for item in range(count)]
    follower = {one: other for one, other in enumerate(right) if other is not None and left[other] == one}
    chains = []
    for start in sorted(set(range(count)) - set(follower.values())):
        chain = [start]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        chains.append(chain)
    return chains


def _proposal_chains(proposals: Proposals) -> list[list[int]]:
    columns = {int(column): np.flatnonzero(proposals.column == column) for column in np.unique(proposals.column)}

    def neighbour(one: int, way: int) -> int | None:
        """Return the best fitting proposal of the nearest column that has a fitting one."""
        for distance in range(1, _COLUMNS + 1):
            others = columns.get(int(proposals.column[one]) + way * distance, np.array([], np.int64))
            fit = _fit(proposals.top[one], proposals.bottom[one], proposals.top[others], proposals.bottom[others])
            if fit.any():
                return int(others[np.argmax(fit * proposals.score[others])])
        return None

    return _chains(len(proposals), neighbour)


def _fit(top: float, bottom: float, tops: Array, bottoms: Array) -> Array:
    """Return the likeness of the extent from `top` to `bottom` to each other extent; 0 if both are not in one line."""
    height, heights = bottom - top, bottoms - tops
    low, high = np.minimum(height, heights), np.maximum(height, heights)
    shared = np.minimum(bottom, bottoms) - np.maximum(top, tops)
    return np.where((shared >= _SHARED * low) & (low >= _ALIKE * high), likeness(top, bottom, tops, bottoms), 0)


def _fragment(proposals: Proposals, members: list[int]) -> _Fragment:
    x = (proposals.column[members] + 0.5) * WIDTH
    middles = (proposals.top[members] + proposals.bottom[members]) / 2
    height = float(np.mean(proposals.bottom[members] - proposals.top[members]))
    left, right = float(x[0] - WIDTH / 2), float(x[-1] + WIDTH / 2)
    away = x - x.mean()
    slope = float(away @ middles / (away @ away)) if right - left > max(height, WIDTH) else 0.0  # least squares
    middle = float(middles.mean() + slope * ((left + right) / 2 - x.mean()))
    return _Fragment(members, left, right, middle, height, slope)


def _fragment_chains(fragments: list[_Fragment]) -> list[list[int]]:
    left, right = (np.array([getattr(fragment, side) for fragment in fragments]) for side in ("left", "right"))

    def neighbour(one: int, way: int) -> int | None:
        """Return the nearest fragment that continues this one."""
        this = fragments[one]
        gap = left - this.right if way > 0 else this.left - right
        near = np.flatnonzero((gap >= 0) & (gap <= max(_GAP, _GAP_HEIGHTS * this.height)))
        for other in near[np.argsort(gap[near], kind="stable")].tolist():
            if _continues(this, fragments[other], gap[other]):
                return int(other)
        return None

    return _chains(len(fragments), neighbour)


def _continues(this: _Fragment, that: _Fragment, gap: float) -> bool:
    """Return True if two fragments fit in the middle of the gap, when both are extended by the slope of the longer."""
    slope = max(this, that, key=lambda fragment: fragment.right - fragment.left).slope
    x = (max(this.left, that.left) + min(this.right, that.right)) / 2
    top, other = (each.middle_at(x, slope) - each.height / 2 for each in (this, that))
    fit = _fit(top, top + this.height, np.array([other]), np.array([other + that.height]))
    return gap <= max(_GAP, _GAP_HEIGHTS * that.height) and bool(fit[0] > 0)


def _corners(line: _Fragment) -> list[tuple[float, float]]:
    left, right = line.middle_at(line.left, line.slope), line.middle_at(line.right, line.slope)
    half = line.height / 2
    return [(line.left, left - half), (line.right, right - half), (line.right, right + half), (line.left, left + half)]


def reading_order(corners: Array) -> Array:
    """Sort lines [N, 4, 2] as they are read, and return their indices: rows from top to bottom, each left to right."""
    middle = corners[:, :, 1].mean(axis=1)
    height = (corners[:, 3, 1] - corners[:, 0, 1] + corners[:, 2, 1] - corners[:, 1, 1]) / 2
    rows: list[list[int]] = []
    for index in np.argsort(middle, kind="stable").tolist():
        row = rows[-1] if rows else []
        if row and middle[index] - middle[row[0]] < min(height[index], height[row[0]]) / 2:
            row.append(index)
        else:
            rows.append([index])
    return np.array([index for row in rows for index in sorted(row, key=lambda i: corners[i, 0, 0])], np.int64)
