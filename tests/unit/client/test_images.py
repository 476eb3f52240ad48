from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gpumodels.client.images import ImageError, to_pixels

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_path_bytes_pillow_and_array_are_the_same_picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    for value in (path, str(path), path.read_bytes(), Image.open(path), RGB, memoryview(path.read_bytes())):
        np.testing.assert_array_equal(to_pixels(value), RGB)


def test_exif_orientation_of_an_encoded_picture_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    data = encoded(Image.fromarray(RGB), "PNG", exif=exif)
    np.testing.assert_array_equal(to_pixels(data), np.rot90(RGB, -1))


@pytest.mark.parametrize(
    "value",
    [
        RGB / 255,
        (RGB / 255).astype(np.float32),
        RGB.astype(float),
        RGB.astype(np.int64),
        RGB.astype(np.uint16) * 257,
        np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]),
        RGB[:, ::-1][:, ::-1],
        Image.fromarray(RGB).convert("RGBA"),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_every_common_form_of_a_picture_becomes_uint8_rgb(value):
    np.testing.assert_array_equal(to_pixels(value), RGB)


def test_grey_bool_and_sixteen_bits():
    grey = RGB[:, :, 0]
    three = np.repeat(grey[:, :, None], 3, 2)
    np.testing.assert_array_equal(to_pixels(grey), three)
    np.testing.assert_array_equal(to_pixels(grey[:, :, None]), three)
    np.testing.assert_array_equal(to_pixels(Image.fromarray(grey)), three)
    np.testing.assert_array_equal(to_pixels(encoded(Image.fromarray(grey.astype(np.uint16) * 257))), three)
    assert set(np.unique(to_pixels(grey > 100))) == {0, 255}
    assert set(np.unique(to_pixels(Image.fromarray(grey > 100)))) == {0, 255}


def test_transparency_is_laid_over_white():
    clear = np.zeros((2, 2, 4), np.uint8)
    assert (to_pixels(clear) == 255).all()
    assert (to_pixels(encoded(Image.new("LA", (2, 2), (0, 0)))) == 255).all()
    palette = Image.new("P", (2, 2), 0)
    assert (to_pixels(encoded(palette, transparency=0)) == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3), (1, 1, 4), (4320, 7680, 3)], ids=str)
def test_tiny_and_huge_pictures_work(shape):
    assert to_pixels(np.zeros(shape, np.uint8)).shape == (shape[0], shape[1], 3)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"channels first: give array\.transpose\(1, 2, 0\)"),
        (np.zeros((1, 20, 30, 3), np.uint8), "batch: give one picture at a time"),
        (np.zeros(5, np.uint8), r"an array \[5\] is not a picture"),
        (np.zeros((5, 5, 2), np.uint8), r"\[5, 5, 2\] is not a picture"),
        (np.zeros((0, 5, 3), np.uint8), "empty: 5 x 0 pixels"),
        (np.zeros((5, 0), np.float32), "empty: 0 x 5 pixels"),
        (np.zeros((0, 0, 4), np.float32), "empty"),
        (np.full((2, 2), 300), "int64 from 300 to 300: scale it"),
        (np.full((2, 2), -1.0), "float64 from -1 to -1: scale it"),
        (np.full((2, 2), 1.5), "scale it"),
        (np.full((2, 2), np.nan), "scale it"),
        (np.zeros((2, 2), complex), "complex128 is not a picture"),
        (np.array([["a"]]), "is not a picture"),
        (None, "^None is not a picture: give a path"),
        (3, "^3 is not a picture: give a path"),
        ({}, r"^\{\} is not a picture: give a path"),
        ("", "^the path of the picture is empty$"),
        (b"abc", "^3 bytes: not a picture that can be decoded$"),
        (b"", "not a picture that can be decoded"),
        (b"no picture at all", "17 bytes: not a picture"),
        ("/nowhere.jpg", r"there is no file /nowhere\.jpg"),
        ("/tmp", "^/tmp is a directory, not a picture$"),
        ("a\0b", "not a picture that can be decoded"),
        ("x" * 5000, "not a picture that can be decoded"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_value_that_is_not_a_picture_is_refused(value, match):
    with pytest.raises(ImageError, match=match):
        to_pixels(value)


def test_a_broken_file_is_refused():
    data = encoded(Image.fromarray(RGB.repeat(50, 0).repeat(50, 1)))
    with pytest.raises(ImageError, match="not a picture that can be decoded"):
        to_pixels(data[: len(data) // 2])


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageError, match="too large to be decoded safely"):
        to_pixels(encoded(Image.fromarray(RGB)))
