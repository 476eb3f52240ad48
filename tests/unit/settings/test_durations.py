"""Durations as people write them, and values that are not durations."""

import math

import pytest

from gpumodels.settings import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("1d", 86400), ("10 m", 600), ("600", 600),
        (600, 600), (0.5, 0.5), ("never", math.inf), ("forever", math.inf), (math.inf, math.inf),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(text, seconds):
    assert duration(text) == seconds
    assert type(duration(text)) is float


@pytest.mark.parametrize(
    "text",
    [
        "soon", "", "10 parsecs", "10min", "m", "-5m", "0", "0s", 0, -1, math.nan, -math.inf, True, None, [],
        {}, ["never"], "1h30m", "1e3s", "inf", "nan", "\u0661m", " 10m", "10m ", "10m\n", "NEVER",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(ValueError, match=r"^must be a duration such as 90s, 10m, 2h or never, not ") as caught:
        duration(text)
    assert str(caught.value).endswith(repr(text))


def test_a_number_that_is_too_large_for_a_float_is_infinite():
    assert duration("9" * 400 + "d") == duration(10**400) == math.inf
