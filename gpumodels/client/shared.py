"""`SharedArrays`: arrays of the user in memory that the model server maps too. A call sends them without a copy."""

from __future__ import annotations

import itertools
import math
import os
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol import region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpumodels.protocol import Region

_numbers = itertools.count()


class SharedArrays:
    """The arrays that `empty` made, each in a shared memory region. A region lives as long as a view of its array."""

    def __init__(self) -> None:
        self._regions: weakref.WeakValueDictionary[str, Region] = weakref.WeakValueDictionary()

    def empty(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of zeros in a new region. Raises OSError if there is no memory for it."""
        count = math.prod(shape)
        # A forked child continues the count, so the process id keeps its names apart from the parent's.
        memory = region.create(f"own-{os.getpid()}-{next(_numbers)}", count * dtype.itemsize)
        array = np.frombuffer(memory, dtype, count) if count else np.empty(0, dtype)
        memory.address = _address(np.frombuffer(memory, np.uint8))
        self._regions[memory.name] = memory
        return array.reshape(shape)

    def find(self, data: memoryview) -> tuple[Region, int] | None:
        """Return the region in which `data` lies, and its offset there; None if `data` lies in no region."""
        if not self._regions or not data:
            return None
        address = _address(np.frombuffer(data, np.uint8))
        for memory in list(self._regions.values()):
            offset = address - memory.address
            if 0 <= offset <= len(memory) - len(data):
                return memory, offset
        return None

    def __contains__(self, name: str) -> bool:
        return name in self._regions


def _address(array: NDArray[Any]) -> int:
    found: int = array.__array_interface__["data"][0]  # `array.ctypes` takes longer than everything else here
    return found
