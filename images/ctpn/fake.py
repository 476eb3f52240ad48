"""A fake ctpn for users' own tests. It finds two lines of text in every picture, without the network."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Corners x1 y1 ... x4 y4 of each line, as fractions of the picture's width and height.
_LINES = ((0.1, 0.2, 0.9, 0.2, 0.9, 0.3, 0.1, 0.3), (0.1, 0.4, 0.6, 0.4, 0.6, 0.5, 0.1, 0.5))
_SCORES = (0.98, 0.91)


class Model:
    """The fake of `model.Model`, with fixed answers. The fake engine serves it."""

    def load(self, device: str) -> None:
        """Do nothing."""

    def predict(self, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Return two lines of text in `image` [H, W, ...]: `boxes` float32 [2, 8] in pixels, `scores` float32 [2]."""
        height, width = np.shape(image)[:2]
        boxes = np.array(_LINES, np.float32) * np.array((width, height) * 4, np.float32)
        return {"boxes": boxes, "scores": np.array(_SCORES, np.float32)}
