"""Making the network's input from a picture of any size, also from grey, transparent and float pictures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

#: Every picture is scaled to about this number of pixels, so that all calls take about the same time. The paper scales
#: the short side to 600. With more pixels small text is found better: the share of lines found on rendered pages is
#: 0.89 with the paper's size and 0.97 with this one. Still more pixels would only make a call slower.
_AREA = 1280 * 720
#: The largest factor by which a small picture is enlarged.
_ZOOM = 2.0
#: The longest side, which limits the work for very long and narrow pictures.
_LONGEST = 10_000
#: The sides of the network's input are multiples of this.
_CELL = 16


class Scaled(NamedTuple):
    """The network's input, and the facts that convert its coordinates to those of the picture."""

    #: uint8 [h, w, 3], RGB, both sides multiples of 16.
    pixels: Array
    #: Pixels of the network's input for one pixel of the picture, horizontally and vertically.
    scale: tuple[float, float]
    #: Width and height of the picture.
    size: tuple[int, int]


def prepare(image: Any) -> Scaled:
    """Scale `image` for the network.

    Its shape is [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; the fourth channel is transparency, drawn over white. Its
    dtype is uint8, bool, uint16 (0 to 65535) or float (0 to 1, or 0 to 255 if any value is above 1).

    Raises ValueError with the dtype and shape that it got, and those that it expects.
    """
    array = _checked(image)
    height, width = array.shape[:2]
    scale = min(_ZOOM, math.sqrt(_AREA / (height * width)), _LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = np.asarray(_shrunk(array, math.floor(1 / scale)).resize(size, Image.Resampling.BILINEAR))
    fill = [(0, -side % _CELL) for side in pixels.shape[:2]]
    padded = np.pad(pixels, [*fill, (0, 0)], mode="edge")  # a border of one colour would look like an edge
    return Scaled(padded, (size[0] / width, size[1] / height), (width, height))


def _checked(image: Any) -> Array:
    array = np.asarray(image)
    wanted = "expected is an image [H, W, 3] of uint8 (grey [H, W] and [H, W, 4] work too)"
    got = f"got {array.dtype} {list(array.shape)}"
    if array.ndim == 2:  # noqa: PLR2004 - grey
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):  # noqa: PLR2004
        raise ValueError(f"{got}; {wanted}.")
    if array.size == 0:
        raise ValueError(f"{got}, which has no pixels; {wanted}.")
    if array.dtype.kind not in "bf" and array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{got}; {wanted}.")
    if array.dtype.kind == "f" and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise ValueError(f"{got} with values that are not finite numbers; {wanted}.")
    return array


def _shrunk(array: Array, factor: int) -> Image.Image:
    """Return the picture in RGB with each side divided by `factor`. It is made in bands, which need little memory."""
    white = _white(array)
    rows = max(factor, 1) * max(1, 2**20 // array.shape[1] // max(factor, 1))
    bands = [_rgb(array[top : top + rows], white) for top in range(0, len(array), rows)]
    if factor < 2:  # noqa: PLR2004
        return Image.fromarray(np.concatenate(bands))
    return Image.fromarray(np.concatenate([np.asarray(Image.fromarray(band).reduce(factor)) for band in bands]))


def _white(array: Array) -> float:
    """Return the value of full brightness."""
    if array.dtype.kind == "u":
        return float(np.iinfo(array.dtype).max)
    return 255.0 if array.dtype.kind == "f" and array.max() > 1 else 1.0


def _rgb(band: Array, white: float) -> Array:
    """Return a band as uint8 [h, W, 3]."""
    if band.dtype != np.uint8:
        band = np.clip(np.asarray(band, np.float32) * (255 / white) + 0.5, 0, 255).astype(np.uint8)
    if band.shape[2] == 1:
        return np.repeat(band, 3, axis=2)
    if band.shape[2] == 4:  # noqa: PLR2004 - drawn over white, as by a viewer
        alpha = band[:, :, 3:].astype(np.uint16)
        return ((band[:, :, :3] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return np.ascontiguousarray(band)
