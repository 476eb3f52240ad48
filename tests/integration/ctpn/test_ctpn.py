"""CTPN with its real network and weights, loaded and called as users do."""

from __future__ import annotations

import numpy as np
import pytest

import gpumodels
from tests.integration.ctpn.pages import matches, page, sign


@pytest.fixture(scope="module")
def ctpn():
    with gpumodels.load("ctpn", gpu="none", engine="process") as model:
        yield model


def found(model, scenes):
    """Return three numbers: the known lines that were found, all known lines, and the boxes."""
    counts = [
        (matches((result := model(scene.image)).boxes, scene.lines), len(scene.lines), len(result.boxes))
        for scene in scenes
    ]
    return np.sum(counts, axis=0)


def test_nine_of_ten_known_lines_of_rendered_pages_are_found(ctpn):
    hits, lines, boxes = found(ctpn, [page(seed) for seed in range(6)])
    assert hits / lines >= 0.9
    assert hits / boxes >= 0.9


def test_the_boxes_on_rendered_signs_are_their_lines(ctpn):
    hits, lines, boxes = found(ctpn, [sign(seed) for seed in range(12)])
    assert 2 * hits / (lines + boxes) >= 0.9


def test_boxes_have_corners_inside_the_picture_a_score_and_reading_order(ctpn):
    scene = page(1)
    result = ctpn(scene.image)
    assert (result.boxes.dtype, result.scores.dtype) == (np.float32, np.float32)
    assert result.boxes.shape == (len(result.scores), 8)
    assert ((result.scores > 0.5) & (result.scores <= 1)).all()
    x, y = result.boxes[:, ::2], result.boxes[:, 1::2]
    assert 0 <= x.min() <= x.max() <= scene.image.shape[1]
    assert 0 <= y.min() <= y.max() <= scene.image.shape[0]
    assert (x[:, [1, 2]] > x[:, [0, 3]]).all()
    assert (y[:, [3, 2]] > y[:, [0, 1]]).all()
    assert (np.diff(y.mean(axis=1)) > -10).all()


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_picture_without_text_gives_no_boxes(ctpn, colour):
    boxes, scores = ctpn(np.full((480, 640, 3), colour, np.uint8))
    assert boxes.shape == (0, 8)
    assert scores.shape == (0,)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (8000, 8000)])
def test_tiny_long_and_huge_pictures_are_answered(ctpn, size):
    assert ctpn(np.full((*size, 3), 90, np.uint8)).boxes.shape == (0, 8)


def test_grey_and_transparent_pictures_give_the_same_lines(ctpn):
    image = np.repeat(page(0).image[:, :, 1:2], 3, axis=2)
    lines = ctpn(image).boxes
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    for same in (image[:, :, 0], np.concatenate([image, opaque], axis=2), image / 255):
        assert np.allclose(ctpn(same).boxes, lines, atol=2)


def test_an_empty_picture_is_refused_in_one_sentence_and_the_model_goes_on(ctpn):
    with pytest.raises(gpumodels.CallError, match=r"ctpn: .*(empty|no pixels)"):
        ctpn(np.empty((0, 5, 3), np.uint8))
    assert len(ctpn(page(0).image).boxes) > 10
