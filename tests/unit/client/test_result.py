from __future__ import annotations

import base64
import copy
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from gpumodels.client.drawing import draw_result
from gpumodels.client.result import Result

BOXES = np.array([[10, 10, 60, 10, 60, 30, 10, 30], [5, 60, 90, 60, 90, 80, 5, 80]], np.float32)
SCORES = np.array([0.9, 0.2], np.float32)
PHOTO = np.full((100, 200, 3), 128, np.uint8)


@pytest.fixture
def result():
    return Result(
        {"boxes": BOXES, "scores": SCORES, "to-day": "x", "keys": 1}, {"boxes": "boxes", "scores": "scores"}, PHOTO
    )


def test_values_by_name_attribute_index_and_unpacking(result):
    assert result.boxes is BOXES
    assert result["scores"] is SCORES
    assert result[0] is BOXES
    assert result[-1] == 1
    assert result["to-day"] == "x"
    boxes, scores, _, _ = result
    assert (boxes is BOXES, scores is SCORES) == (True, True)
    assert len(result) == 4
    assert "boxes" in result
    assert "other" not in result
    assert list(result.keys()) == ["boxes", "scores", "to-day", "keys"]
    assert dict(result)["keys"] == 1
    assert "boxes" in dir(result)
    assert "to-day" not in dir(result)


def test_the_error_for_an_unknown_name_lists_the_outputs(result):
    with pytest.raises(AttributeError, match="no output 'box'; the outputs are boxes, scores"):
        _ = result.box
    with pytest.raises(KeyError, match="the outputs are boxes, scores"):
        result["box"]


def test_repr_is_short(result):
    assert repr(result) == "Result(boxes: float32[2, 8], scores: float32[2], to-day: 'x', keys: 1)"
    assert len(repr(Result({"text": "x" * 1000}))) < 70


def test_a_result_can_be_copied_and_pickled(result):
    assert copy.deepcopy(result)["to-day"] == "x"
    assert (pickle.loads(pickle.dumps(result)).boxes == BOXES).all()


def picture_of(result) -> Image.Image:
    bundle = result._repr_mimebundle_(include=None, exclude=None)
    (data,) = [value for mime, value in bundle.items() if mime.startswith("image/")]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_boxes_draw_themselves_on_the_image_that_went_in(result):
    picture = np.asarray(picture_of(result).convert("RGB")).astype(int)
    assert picture.shape == PHOTO.shape
    assert abs(picture[20, 10] - [27, 173, 101]).max() < 60  # the first box's left side
    assert (abs(picture[45, 150] - 128) < 10).all()  # nothing there
    assert (PHOTO == 128).all()


def test_a_large_picture_is_shrunk_and_its_boxes_with_it():
    picture = draw_result({"b": np.array([[0, 0, 2400, 1200]])}, {"b": "boxes"}, np.zeros((1200, 2400, 3), np.uint8))
    assert picture.size == (1200, 600)
    assert picture.getpixel((600, 0)) != (0, 0, 0)


def test_an_image_output_is_the_picture():
    result = Result({"mask": PHOTO[:, :, 0] / 255}, {"mask": "image"})
    assert picture_of(result).size == (200, 100)


@pytest.mark.parametrize(
    ("outputs", "kinds", "image"),
    [
        ({"x": SCORES}, {}, PHOTO),
        ({"b": BOXES}, {"b": "boxes"}, None),
        ({"b": BOXES[:, :3]}, {"b": "boxes"}, PHOTO),
        ({"b": "text"}, {"b": "boxes"}, PHOTO),
        ({"b": SCORES}, {"b": "image"}, PHOTO),
    ],
)
def test_a_result_without_a_picture_shows_its_repr(outputs, kinds, image):
    assert Result(outputs, kinds, image)._repr_mimebundle_() is None


@pytest.mark.parametrize(
    "boxes", [np.zeros((0, 8)), np.zeros((500, 8)), np.full((1, 4), np.nan), np.full((1, 4), 1e30)]
)
def test_strange_boxes_do_not_break_the_drawing(boxes):
    assert draw_result({"b": boxes, "s": np.ones(len(boxes))}, {"b": "boxes", "s": "scores"}, PHOTO) is not None


def test_a_tiny_picture_is_drawn():
    assert draw_result({"b": np.zeros((1, 4)), "s": [1.0]}, {"b": "boxes", "s": "scores"}, PHOTO[:1, :1]) is not None
