"""The loop that measures the calls of every contestant, in this environment and in that of the peers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: The shapes of the inputs, which are uint8, by their names in the table.
SHAPES = {"[16]": (16,), "[224,224,3]": (224, 224, 3), "[1080,1920,3]": (1080, 1920, 3)}

#: Calls that do not count, at the beginning: another contestant's bytes are still in the CPU's caches.
_WARM_UP = 3


def payloads() -> dict[str, NDArray[np.uint8]]:
    """Return an array of random bytes for each shape, by its name. They are the same in every process."""
    return {name: np.random.default_rng(7).integers(0, 256, shape, np.uint8) for name, shape in SHAPES.items()}


def times(call: Callable[[NDArray[np.uint8]], Any], array: NDArray[np.uint8], calls: int) -> list[float]:
    """Make `calls` calls, and return the seconds of each call.

    The first element of the array is different for each call. The call must return it.
    """
    taken = []
    for number in range(-_WARM_UP, calls):
        first = array.flat[0] = (number * 37) % 256
        began = time.perf_counter()
        found = call(array)
        ended = time.perf_counter()
        assert found == first, f"{found} in place of {first}"
        if number >= 0:
            taken.append(ended - began)
    return taken
