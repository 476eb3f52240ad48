"""Conversion of pictures in any common form to uint8 [H, W, 3] RGB."""

from __future__ import annotations

import io
import os
import reprlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]

_GREY, _RGBA = 1, 4  # channels


class ImageError(ValueError):
    """The error for a value that is not a picture, or of which the channels or the range of values are ambiguous."""


def to_pixels(value: Any) -> Pixels:
    """Return a picture as uint8 [H, W, 3] RGB. It may be a path, the bytes of a file, a PIL image or an array.

    Rotate files and bytes by their EXIF orientation, but not PIL images and arrays. Convert grey to RGB, and lay
    transparent pixels over white. Scale bool, uint16 and floats in [0, 1] to uint8; convert whole numbers in 0..255 as
    they are. Raises ImageError for anything else, and for an empty picture.
    """
    if isinstance(value, (str, os.PathLike)):
        if not os.fspath(value):
            raise ImageError("the path of the picture is empty")
        pixels = _decoded(Path(value).expanduser(), str(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        pixels = _decoded(io.BytesIO(value), f"{len(value)} bytes")
    elif isinstance(value, Image.Image):
        pixels = _from_pillow(value)
    else:
        pixels = _from_array(_as_array(value))
    if pixels.size == 0:
        raise ImageError(f"the picture is empty: {pixels.shape[1]} x {pixels.shape[0]} pixels")
    return pixels


def _decoded(source: Path | io.BytesIO, what: str) -> Pixels:
    try:
        with Image.open(source) as image:
            return _from_pillow(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise ImageError(f"there is no file {what}") from None
    except IsADirectoryError:
        raise ImageError(f"{what} is a directory, not a picture") from None
    except UnidentifiedImageError:
        raise ImageError(f"{what}: not a picture that can be decoded") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{what}: the picture is too large to be decoded safely ({error})") from None
    except Exception as error:  # noqa: BLE001 (a broken file makes Pillow's decoders raise nearly anything)
        raise ImageError(f"{what}: not a picture that can be decoded ({error})") from None


def _from_pillow(image: Image.Image) -> Pixels:
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel, which Pillow would clip instead of scale
        pixels = np.asarray(image)
        return _from_array(pixels.astype(np.uint16) if image.mode == "I" and _fits(pixels, 0xFFFF) else pixels)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _as_array(value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except Exception as error:  # noqa: BLE001 (the foreign `__array__` may raise anything)
        raise ImageError(f"numpy cannot read this {type(value).__name__}: {error}") from None
    if array.ndim == 0:
        given = reprlib.repr(value)
        raise ImageError(f"{given} is not a picture: give a path, the bytes of a picture file, a PIL image or an array")
    return array


def _from_array(array: NDArray[Any]) -> Pixels:
    pixels = _to_uint8(_channels_last(array))
    channels = pixels.shape[2]
    if channels == _GREY:
        return np.repeat(pixels, 3, axis=2)
    if channels == _RGBA and pixels.size:
        return _from_pillow(Image.fromarray(np.ascontiguousarray(pixels)))
    return pixels


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    shape = list(array.shape)
    match shape:
        case [_, _]:
            return array[:, :, np.newaxis]
        case [_, _, (1 | 3 | 4)]:
            return array
        case [(1 | 3 | 4), _, _]:
            raise ImageError(f"an array {shape} has its channels first: give array.transpose(1, 2, 0)")
        case [_, _, _, _]:
            raise ImageError(f"an array {shape} is a batch: give one picture at a time")
        case _:
            raise ImageError(f"an array {shape} is not a picture: expected [H, W], [H, W, 3] or [H, W, 4]")


def _to_uint8(array: NDArray[Any]) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        scaled: Pixels = np.round(array / 257).astype(np.uint8)
        return scaled
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        stretched: Pixels = np.round(array * np.float32(255)).astype(np.uint8)
        return stretched
    if array.dtype.kind in "iuf" and _fits(array, 255) and (array.dtype.kind != "f" or (array % 1 == 0).all()):
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ImageError(f"an array of {array.dtype} is not a picture")
    low, high = array.min(), array.max()
    raise ImageError(f"{array.dtype} from {low:g} to {high:g}: scale it to 0..1 or to whole numbers in 0..255 first")


def _fits(array: NDArray[Any], limit: int) -> bool:
    return array.size == 0 or bool(array.min() >= 0 and array.max() <= limit)
