"""Joining slices of text to lines."""

from __future__ import annotations

import numpy as np
import pytest


def slices(*runs, score=0.9):
    """Return proposals for lines that are given as (first column, last column, top, height[, rise per column])."""
    rows = []
    for first, last, top, height, *rise in runs:
        for column in range(first, last + 1):
            start = top + (rise[0] if rise else 0) * (column - first)
            rows.append((column, start, start + height, score))
    return np.array(rows, np.float32).reshape(-1, 4).T


@pytest.fixture
def join(lines):
    def join(array):
        column, top, bottom, score = array
        from proposals import Proposals

        return lines.join(Proposals(column.astype(np.int64), top, bottom, score))

    return join


def test_touching_slices_are_one_line(join):
    corners, scores = join(slices((2, 9, 100, 30)))
    assert corners.tolist() == [[[32, 100], [160, 100], [160, 130], [32, 130]]]
    assert corners.dtype == scores.dtype == np.float32
    assert scores == pytest.approx([0.9])


def test_no_slices_are_no_lines(join):
    corners, scores = join(slices())
    assert corners.shape == (0, 4, 2)
    assert scores.shape == (0,)


def test_words_of_a_line_are_joined_and_far_ones_are_not(join):
    corners, _ = join(slices((0, 5, 100, 30), (9, 14, 102, 30), (30, 35, 100, 30)))
    assert corners[:, 0, 0].tolist() == [0, 30 * 16]
    assert corners[0, 1, 0] == 15 * 16


def test_the_space_between_words_may_grow_with_the_letters(join):
    apart = (0, 9, 100, 90), (15, 24, 100, 90)
    assert len(join(slices(*apart))[0]) == 1
    assert len(join(slices(*[(first, last, top, 30) for first, last, top, _ in apart]))[0]) == 2


def test_lines_above_each_other_stay_apart(join):
    corners, _ = join(slices((0, 9, 100, 30), (0, 9, 135, 30)))
    assert corners[:, 0, 1].tolist() == [100, 135]


def test_small_print_beside_a_headline_stays_apart(join):
    assert len(join(slices((0, 9, 100, 80), (10, 19, 130, 20)))[0]) == 2


def test_a_slanted_line_keeps_its_slant(join):
    corners, _ = join(slices((0, 20, 100, 30, 3)))
    (left, _), (_, right) = corners[0][0], corners[0][1]
    assert left == 0
    assert corners[0][1][1] - corners[0][0][1] == pytest.approx(3 * 21)
    assert right > 100


def test_words_of_a_slanted_line_are_joined_along_the_slant(join):
    """Join along the slant: behind the gap, the lower line's word is at the height of the upper line's first word."""
    one = slices((0, 9, 100, 30, 4), (13, 22, 100 + 13 * 4, 30, 4))
    other = slices((0, 9, 60, 30, 4), (13, 22, 60 + 13 * 4, 30, 4))
    corners, _ = join(np.concatenate([one, other], axis=1))
    assert corners[:, 0, 0].tolist() == [0, 0]
    assert corners[:, 1, 0].tolist() == [23 * 16, 23 * 16]


def test_a_single_slice_is_dropped(join):
    assert len(join(slices((3, 3, 100, 30)))[0]) == 0


def test_slices_with_a_low_score_are_dropped(join):
    assert len(join(slices((3, 9, 100, 30), score=0.5))[0]) == 0


def test_every_slice_belongs_to_one_line_at_most(join):
    rng = np.random.default_rng(5)
    column, top = rng.integers(0, 40, 300), rng.uniform(0, 300, 300)
    corners, scores = join(np.array([column, top, top + rng.uniform(8, 60, 300), np.full(300, 0.9)], np.float32))
    assert len(corners) == len(scores) <= 150
    assert np.isfinite(corners).all()
    assert (corners[:, 1, 0] > corners[:, 0, 0]).all()


def test_reading_order_is_rows_from_the_top_then_from_the_left(lines):
    def box(x, y):
        return [[x, y], [x + 50, y], [x + 50, y + 20], [x, y + 20]]

    corners = np.array([box(300, 104), box(0, 200), box(10, 100), box(150, 96), box(0, 10)], np.float32)
    assert lines.reading_order(corners).tolist() == [4, 2, 3, 0, 1]
