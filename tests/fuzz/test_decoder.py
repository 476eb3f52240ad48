"""The server's decoder accepts or refuses any bytes, and allocates only a small multiple of them."""

from __future__ import annotations

from tests.fuzz.decoder import fuzz


def test_nearly_correct_requests_are_accepted_or_refused():
    tally = fuzz(20_000, seed=1)
    assert tally.outcomes[""] > 1000
    assert {"RequestError", "RegionError", "DecodeError"} <= tally.outcomes.keys()
