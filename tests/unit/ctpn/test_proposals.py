"""Decoding the network's outputs to slices of text."""

from __future__ import annotations

import numpy as np
import pytest


def grid(height=4, width=5):
    return np.zeros((10, height, width), np.float32), np.zeros((10, 2, height, width), np.float32)


def test_anchors_grow_by_the_papers_ratio(proposals):
    assert proposals.HEIGHTS[0] == 11
    assert proposals.HEIGHTS[1:] / proposals.HEIGHTS[:-1] == pytest.approx(1 / 0.7, rel=0.03)


def test_an_anchor_without_offset_is_centred_on_its_cell(proposals):
    scores, offsets = grid()
    scores[1, 2, 3] = 0.9
    found = proposals.decode(scores, offsets, 0.5)
    assert found.column.tolist() == [3]
    assert (found.top[0], found.bottom[0]) == (2.5 * 16 - 8, 2.5 * 16 + 8)
    assert found.score == pytest.approx([0.9])


def test_offsets_shift_by_the_anchors_height_and_stretch_by_its_logarithm(proposals):
    scores, offsets = grid(8)
    scores[1, 2, 0] = 1
    offsets[1, :, 2, 0] = 0.5, np.log(2)
    found = proposals.decode(scores, offsets, 0.5)
    assert (found.top[0] + found.bottom[0]) / 2 == pytest.approx(2.5 * 16 + 0.5 * 16)
    assert found.bottom[0] - found.top[0] == pytest.approx(32)


def test_slices_stay_inside_the_picture_and_finite(proposals):
    scores, offsets = grid()
    scores[:] = 1
    offsets[:] = 1e9
    found = proposals.decode(scores, offsets, 0.5)
    assert len(found) == scores.size
    assert np.isfinite(found.top).all()
    assert found.top.min() >= 0
    assert found.bottom.max() <= 64


def test_no_proposals_above_the_threshold(proposals):
    found = proposals.suppress(proposals.decode(*grid(), 0.5), 0.3)
    assert len(found) == 0


def test_the_best_of_overlapping_slices_of_a_column_stays(proposals):
    column = np.array([0, 0, 0, 1])
    top, bottom = np.array([0, 2, 50, 1], np.float32), np.array([20, 22, 70, 21], np.float32)
    found = proposals.Proposals(column, top, bottom, np.array([0.6, 0.9, 0.5, 0.4], np.float32))
    kept = proposals.suppress(found, 0.3)
    assert sorted(kept.score.tolist()) == pytest.approx([0.4, 0.5, 0.9])


def test_likeness_is_intersection_over_union(proposals):
    tops, bottoms = np.array([0.0, 5, 10, 30]), np.array([10.0, 15, 20, 40])
    assert proposals.likeness(0, 10, tops, bottoms).tolist() == pytest.approx([1, 1 / 3, 0, 0])
