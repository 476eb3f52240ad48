"""mixed, a model that returns an array of the requested size. All bytes are the first byte of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model:
    """The model. It has no weights."""

    def load(self, device: str) -> None:
        """Do nothing."""

    def predict(self, x: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Return `size` bytes, each like the first element of `x`."""
        return np.full(size, x.item(0), np.uint8)
