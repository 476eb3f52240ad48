"""Sizes of memory as people write them, and values that are not sizes."""

import math

import pytest

from gpumodels.settings import size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GiB", 4 << 30), ("1.5 GB", 1_500_000_000), ("512 MiB", 512 << 20), ("4G", 4 * 10**9), ("2Gi", 2 << 30),
        ("100KB", 100_000), ("1 TiB", 1 << 40), ("1000", 1000), ("4gb", 4 * 10**9), ("7B", 7),
        (1000, 1000), ("0 B", 0), (0, 0),
    ],
)  # fmt: skip
def test_a_size_is_bytes(text, count):
    assert size(text) == count
    assert type(size(text)) is int


@pytest.mark.parametrize(
    "text",
    [
        "much", "", "GiB", "-4GiB", -1, 4.5, math.inf, math.nan, True, False, None, [], {},
        "4GiBs", "1e9", "4,5 GiB", " 4GiB", "4GiB\n", "\u0664GiB", "9" * 400, 1 << 63, "9223372 TiB",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_examples(text):
    with pytest.raises(ValueError, match=r'^must be a size such as "1.5 GiB" or a number of bytes, not ') as caught:
        size(text)
    assert str(caught.value).endswith(repr(text)[:80])
