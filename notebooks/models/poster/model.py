"""poster: paints a picture with few colours."""

from __future__ import annotations

import numpy as np


class Model:
    """Quick to load and quick to call, so that a notebook can show how calls work."""

    def load(self, device: str) -> None:
        """There is nothing to load."""

    def predict(self, image: np.ndarray, shades: int = 3) -> np.ndarray:
        """The image (uint8 [H, W, 3]) with `shades` levels in each channel; raises ValueError for fewer than two."""
        if shades < 2:
            raise ValueError(f"{shades} shades make no picture: give at least 2")
        steps = np.round(np.arange(256) / 255 * (shades - 1)) * (255 / (shades - 1))
        return steps.astype(np.uint8)[image]
