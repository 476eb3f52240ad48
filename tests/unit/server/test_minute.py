"""Rates and durations of the calls of the last minute."""

from __future__ import annotations

import pytest

from gpumodels.server.minute import Minute

SECOND = 1_000_000_000


@pytest.mark.parametrize("took", [1_100, 150_000, 2_500_000, 1_000_000_000, 3_000_000_000_000])
def test_a_duration_is_reported_within_six_percent(took):
    minute = Minute(0)
    minute.answered(SECOND, took)
    assert minute.quantiles(SECOND, 0.5, 0.99) == pytest.approx([took, took], rel=0.0625)


@pytest.mark.parametrize("took", [0, 1, 10**18])
def test_durations_beyond_the_scale_count_in_its_first_or_last_bin(took):
    minute = Minute(0)
    minute.answered(0, took)
    (told,) = minute.quantiles(0, 0.5)
    assert told == pytest.approx(1088 if took < 1024 else 2**44, rel=0.0625)


def test_quantiles_count_answered_calls_and_the_rate_counts_all_calls():
    minute = Minute(0)
    for index in range(98):
        minute.answered(index * SECOND // 10, 1_000_000)
    minute.answered(9 * SECOND, 50_000_000)
    minute.answered(9 * SECOND, 50_000_000)
    for _ in range(20):
        minute.failed(9 * SECOND)
    assert minute.quantiles(10 * SECOND, 0.5, 0.99) == pytest.approx([1_000_000, 50_000_000], rel=0.0625)
    assert minute.per_second(10 * SECOND) == pytest.approx(12)


def test_calls_older_than_a_minute_are_forgotten():
    minute = Minute(0)
    minute.answered(5 * SECOND, 1_000_000)
    minute.answered(30 * SECOND, 9_000_000)
    assert minute.quantiles(64 * SECOND, 0.1) == pytest.approx([1_000_000], rel=0.0625)
    assert minute.quantiles(65 * SECOND, 0.1) == pytest.approx([9_000_000], rel=0.0625)
    assert minute.quantiles(90 * SECOND, 0.1) == [0]
    assert minute.per_second(90 * SECOND) == 0
    minute.answered(90 * SECOND, 2_000_000)  # in the row of the call at 30
    assert minute.quantiles(90 * SECOND, 0.99) == pytest.approx([2_000_000], rel=0.0625)


def test_a_steady_rate_is_reported_exactly():
    minute = Minute(0)
    for index in range(3000):
        minute.failed(index * SECOND // 20)
    assert minute.per_second(149 * SECOND + SECOND // 2) == pytest.approx(20, rel=0.02)
