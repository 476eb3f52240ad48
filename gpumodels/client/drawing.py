"""Results as pictures: boxes on the input image, or an output that is itself an image."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_SIDE = 1200  # pixels; larger pictures only make notebook files larger
_MAX_LABELS = 50  # more labels would hide the boxes
_FAR = 10_000.0  # pixels, outside of any drawing
_LOW, _HIGH = (255, 159, 28), (20, 184, 110)  # box colours for scores 0 and 1, readable on light and dark pictures
_NEUTRAL = (0, 128, 255)  # colour of boxes without scores


def draw_result(outputs: Mapping[str, Any], kinds: Mapping[str, str], image: Any = None) -> Image.Image | None:
    """Return a picture of a result, at most 1200 pixels on its longer side; None if the outputs give no picture.

    An output of kind "image" ([H, W], [H, W, 3] or [H, W, 4]) is the picture. Otherwise draw the first output of kind
    "boxes" on `image` (uint8 [H, W, 3]). Boxes are in pixels of `image`: [N, 4] (x1 y1 x2 y2) or [N, 8] (four corners).
    The first output of kind "scores" ([N]) gives their colours.
    """
    by_kind = {kind: outputs[name] for name, kind in reversed(list(kinds.items())) if name in outputs}
    if "image" in by_kind:
        from gpumodels.client.images import ImageError, to_pixels  # noqa: PLC0415

        try:
            return _shrunk(Image.fromarray(to_pixels(by_kind["image"])))[0]
        except ImageError:
            return None
    boxes = np.asarray(by_kind.get("boxes", ()))
    if image is None or boxes.shape[1:] not in {(4,), (8,)}:
        return None
    picture, scale = _shrunk(Image.fromarray(image))
    scores = np.asarray(by_kind.get("scores", ()))
    scored = scores.shape == (len(boxes),)
    _draw_boxes(picture, _corners(boxes, scale), np.nan_to_num(scores) if scored else None)
    return picture


def encoded(picture: Image.Image) -> dict[str, str]:
    """Return the picture as a MIME bundle with a PNG or a JPEG, the smaller of the two, to keep notebooks small."""
    candidates = {}
    for mime, options in (("image/png", {"format": "PNG"}), ("image/jpeg", {"format": "JPEG", "quality": 88})):
        buffer = io.BytesIO()
        picture.save(buffer, **options)
        candidates[mime] = buffer.getvalue()
    mime = min(candidates, key=lambda key: len(candidates[key]))
    return {mime: base64.b64encode(candidates[mime]).decode()}


def _shrunk(picture: Image.Image) -> tuple[Image.Image, float]:
    scale = min(1.0, _LONGEST_SIDE / max(picture.size))
    if scale == 1.0:
        return picture, scale
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS), scale


def _corners(boxes: Any, scale: float) -> Any:
    """Return the corners of boxes as [N, 4, 2], multiplied by `scale`.

    `boxes` is [N, 4] (x1 y1 x2 y2) or [N, 8] (x and y of four corners). NaN becomes 0. Infinite coordinates, and those
    far outside of the picture, are clipped, because Pillow fails on them.
    """
    if boxes.shape[1:] == (4,):
        boxes = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]
    return np.clip(np.nan_to_num(boxes.reshape(-1, 4, 2).astype(np.float64) * scale), -_FAR, _FAR)


def _draw_boxes(picture: Image.Image, corners: Any, scores: Any) -> None:
    pen = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 350))
    for index, polygon in enumerate(corners):
        colour = _NEUTRAL if scores is None else _colour(float(scores[index]))
        points = [tuple(point) for point in polygon]
        pen.line([*points, points[0]], fill=colour, width=width, joint="curve")
    if scores is not None and len(scores) <= _MAX_LABELS:
        font = ImageFont.load_default(max(11, round(max(picture.size) / 80)))
        for polygon, score in zip(corners, scores, strict=True):
            _label(pen, polygon, f"{float(score):.2f}", font, _colour(float(score)))


def _label(pen: ImageDraw.ImageDraw, polygon: Any, text: str, font: Any, colour: tuple[int, ...]) -> None:
    """Write `text` above the first corner of `polygon`, or below that corner if there is no room above."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x, y = max(0.0, float(polygon[0][0])), float(polygon[0][1]) - (bottom - top) - 6
    y = y if y >= 0 else float(polygon[0][1])
    pen.rectangle([x, y, x + right - left + 6, y + bottom - top + 6], fill=colour)
    pen.text((x + 3 - left, y + 3 - top), text, fill="white", font=font)


def _colour(score: float) -> tuple[int, ...]:
    share = min(max(score, 0.0), 1.0)
    return tuple(round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
