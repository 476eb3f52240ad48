"""The server's decoder accepts or refuses whatever bytes come, and allocates little more than they are."""

from __future__ import annotations

from tests.fuzz.decoder import fuzz


def test_nearly_right_requests_are_accepted_or_refused_and_nothing_else():
    tally = fuzz(20_000, seed=1)
    assert tally.outcomes[""] > 1000
    assert {"RequestError", "RegionError", "DecodeError"} <= tally.outcomes.keys()
