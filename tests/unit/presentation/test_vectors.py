"""The rules of `gpumodels.presentation`, by the vectors that jest holds the widgets and the sidebar to."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gpumodels import presentation

# labextension/tests/presentation.test.ts reads the same file.
VECTORS = json.loads((Path(__file__).parents[3] / "labextension/tests/presentation.json").read_text(encoding="utf-8"))


@pytest.fixture
def utc(monkeypatch):
    """The time zone of the vectors."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("table", "given", "form"),
    [
        ("durations", "seconds", presentation.duration),
        ("sizes", "bytes", presentation.size),
        ("latencies", "seconds", presentation.latency),
        ("rates", "perSecond", presentation.rate),
        ("moments", "seconds", presentation.moment),
    ],
)
def test_each_value_has_its_text(table, given, form):
    assert [form(vector[given]) for vector in VECTORS[table]] == [vector["text"] for vector in VECTORS[table]]


def test_a_moment_is_a_time_of_day_with_its_date_on_other_days(utc):
    for vector in VECTORS["clocks"]:
        assert presentation.clock(vector["moment"], vector["now"]) == vector["text"]
    assert presentation.clock(time.time()) == presentation.date_and_clock(time.time()).partition(" ")[2]


def test_a_picture_of_each_second_has_its_second(utc):
    assert presentation.clock(1760000000, 1760000000, seconds=True) == "08:53:20"


def test_what_stays_has_its_date_always(utc):
    assert presentation.date_and_clock(1760000000) == "2025-10-09 08:53"


def test_no_moment_is_no_text():
    assert presentation.moment(None) == ""
