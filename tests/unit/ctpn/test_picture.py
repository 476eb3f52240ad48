"""Converting pictures of all formats and sizes to the network's input, and errors for other arrays."""

from __future__ import annotations

import numpy as np
import pytest

RGB = np.random.default_rng(1).integers(0, 256, (45, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "same",
    [RGB / 255, RGB.astype(np.float32), (RGB / 255).astype(np.float32), RGB.astype(np.uint16) * 257,
     np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), RGB[::-1][::-1], RGB.copy("F")],
    ids=["float64 to 1", "float32 to 255", "float32 to 1", "uint16", "opaque RGBA", "strided", "column order"],
)  # fmt: skip
def test_other_dtypes_and_layouts_give_the_same_picture(picture, same):
    assert np.array_equal(picture.prepare(same).pixels, picture.prepare(RGB).pixels)


@pytest.mark.parametrize("grey", [RGB[:, :, 0], RGB[:, :, :1]], ids=["H W", "H W 1"])
def test_grey_becomes_three_equal_channels(picture, grey):
    pixels = picture.prepare(grey).pixels
    assert pixels.shape[2] == 3
    assert (pixels == pixels[:, :, :1]).all()


def test_a_mask_is_black_and_white(picture):
    assert set(np.unique(picture.prepare(np.eye(200, dtype=bool)[:, :100]).pixels)) >= {0, 255}


def test_transparency_is_laid_over_white(picture):
    clear = np.zeros((20, 20, 4), np.uint8)
    assert (picture.prepare(clear).pixels == 255).all()


def test_a_photo_keeps_its_pixels_at_the_networks_own_size(picture):
    photo = np.random.default_rng(2).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    scaled = picture.prepare(photo)
    assert np.array_equal(scaled.pixels, photo)
    assert scaled.scale == (1, 1)
    assert scaled.size == (1280, 720)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 100_000), (17, 31), (2000, 3000), (8000, 8000)])
def test_every_size_is_scaled_to_about_the_same_number_of_pixels(picture, size):
    scaled = picture.prepare(np.broadcast_to(np.uint8(7), (*size, 3)))
    height, width = scaled.pixels.shape[:2]
    assert height % 16 == width % 16 == 0
    assert 0 < height * width <= 1.1 * 1280 * 720
    assert (scaled.pixels == 7).all()
    assert (width, height) >= (size[1] * scaled.scale[0], size[0] * scaled.scale[1])


@pytest.mark.parametrize("factor", [2, 3])
def test_a_huge_picture_is_shrunk_in_bands_without_a_seam(picture, factor):
    ramp = np.linspace(0, 1, 1000 * factor)[:, None] * np.ones(1600 * factor)
    rows = picture.prepare(ramp).pixels[:, 0, 0].astype(int)
    assert (np.diff(rows) >= 0).all()
    assert np.diff(rows).max() <= 1


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (np.empty((0, 0, 3), np.uint8), r"got uint8 \[0, 0, 3\], which has no pixels"),
        (np.empty((5, 0), np.uint8), r"got uint8 \[5, 0\], which has no pixels"),
        (np.zeros((2, 2, 5), np.uint8), r"got uint8 \[2, 2, 5\]"),
        (np.zeros((1, 9, 9, 3), np.uint8), r"got uint8 \[1, 9, 9, 3\]"),
        (np.zeros(7), r"got float64 \[7\]"),
        (np.zeros((4, 4), np.int64), r"got int64 \[4, 4\]"),
        (np.zeros((4, 4), complex), r"got complex128 \[4, 4\]"),
        (np.full((4, 4), np.nan), "not finite"),
        (np.array([[0, -np.inf]]), "not finite"),
        (None, r"got object \[\]"),
        ("a path", r"got <U6 \[\]"),
    ],
)
def test_other_arrays_are_refused_with_what_was_got_and_what_is_expected(picture, array, got):
    with pytest.raises(ValueError, match=f"{got}.*; expected is an image \\[H, W, 3\\] of uint8"):
        picture.prepare(array)
