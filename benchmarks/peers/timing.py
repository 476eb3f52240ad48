"""The loop that every contestant's calls are timed in, here and in the environment of the peers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Inputs by the name they have in the table; uint8.
SHAPES = {"[16]": (16,), "[224,224,3]": (224, 224, 3), "[1080,1920,3]": (1080, 1920, 3)}

#: Calls before those that count, as another contestant's bytes are in the caches.
_WARMING = 3


def payload(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Random bytes, the same in every process."""
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def times(call: Callable[[NDArray[np.uint8]], Any], array: NDArray[np.uint8], calls: int) -> list[float]:
    """Seconds that each of so many calls took; each gets another first element, and has to give it back."""
    taken = []
    for number in range(-_WARMING, calls):
        first = array.flat[0] = (number * 37) % 256
        began = time.perf_counter()
        found = call(array)
        ended = time.perf_counter()
        assert found == first, f"{found} in place of {first}"
        if number >= 0:
            taken.append(ended - began)
    return taken
