from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gpumodels.client.inputs import bind
from gpumodels.errors import InputError
from gpumodels.signature import Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("points", "float32", ("N", 2)),
        TensorSpec("labels", "str", ("N",), optional=True),
        TensorSpec("count", "uint8", (), optional=True),
        TensorSpec("blob", "bytes", (), optional=True),
        TensorSpec("facts", "json", optional=True),
    ),
    (),
)
POINTS = [[0.0, 1.0], [2.0, 3.0]]


class Arraylike:
    """An object with the method `__array__` and nothing else."""

    def __array__(self, dtype=None, copy=None):
        return np.array(POINTS, dtype)


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("only on Tuesdays")


def sent(*args, signature=SIGNATURE, **kwargs):
    return [f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in bind(signature, args, kwargs, "m")[0]]


@pytest.mark.parametrize(
    "points", [POINTS, np.array(POINTS), np.array(POINTS, ">f8"), np.array(POINTS, int), Arraylike()]
)
def test_anything_like_an_array_is_sent_as_declared(points):
    assert sent(points) == ["points FP32[2, 2]"]


def test_inputs_are_matched_by_position_or_name_and_sent_in_declared_order():
    assert sent(POINTS, ["a", "b"], facts={"x": 1}, blob=b"1", count=3) == [
        "points FP32[2, 2]",
        "labels BYTES[2]",
        "count UINT8[]",
        "blob BYTES[]",
        "facts BYTES[1]",
    ]
    assert sent(count=np.int64(3), points=POINTS) == ["points FP32[2, 2]", "count UINT8[]"]


def test_none_leaves_an_optional_input_out_but_is_a_json_value():
    assert sent(POINTS, None, count=None) == ["points FP32[2, 2]"]
    assert sent(POINTS, facts=None) == ["points FP32[2, 2]", "facts BYTES[1]"]


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        ((), {}, r"m takes \(points: float32\[N, 2\], labels: str\[N\]\?.*missing: points"),
        ((POINTS,) * 6, {}, "but 6 inputs were given"),
        ((POINTS,), {"points": POINTS}, "'points' was given twice"),
        ((POINTS,), {"lables": []}, "has no 'lables'"),
        ((None,), {}, r"points: float32\[N, 2\] was given a NoneType"),
        (([[1, 2], [3]],), {}, "points.*was given a list: its rows differ in length"),
        ((np.zeros((2, 3)),), {}, r"points is declared \[N, 2\], got an array of shape \[2, 3\]"),
        ((np.zeros(4),), {}, r"got an array of shape \[4\]"),
        ((np.full((1, 2), 1e300),), {}, r"an array of float64\[1, 2\]: float32 does not hold 1e\+300 at \[0, 0\]"),
        ((np.array([["1", "2"]]),), {}, "text cannot be sent as numbers"),
        ((np.array([[None, None]]),), {}, r"an array of object\[1, 2\]: its element \[0, 0\] is None: fill in"),
        ((Unreadable(),), {}, "an Unreadable: numpy cannot read it: only on Tuesdays"),
        ((POINTS, ["a"]), {}, "labels is declared .N.: its N is 1, elsewhere 2"),
        ((POINTS, [b"a", b"b"]), {}, r"labels: .* was given a list: its element \[0\] is b'a', not text"),
        ((POINTS, [1, 2]), {}, r"labels: .* was given a list: its element \[0\] is 1, not text"),
        ((POINTS,), {"count": 256}, "count: uint8.* was given an int: uint8 does not hold 256"),
        ((POINTS,), {"count": 1.5}, r"count: uint8.* was given a float: uint8 does not hold 1\.5"),
        ((POINTS,), {"blob": "text"}, "blob: bytes.* was given a str: it is not bytes"),
        ((POINTS,), {"facts": {1, 2}}, "facts: json.* was given a set: it cannot be written as JSON"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_declaration(args, kwargs, match):
    with pytest.raises(InputError, match=match) as caught:
        sent(*args, **kwargs)
    assert str(caught.value).startswith("m")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((2, 2), np.int16), "INT16[2, 2]"),
        (np.float16(1), "FP16[]"),
        (Image.new("L", (3, 2)), "UINT8[2, 3]"),
        (Arraylike(), "FP64[2, 2]"),
        ("text", "BYTES[]"),
        (b"data", "BYTES[]"),
        (1, "BYTES[1]"),
        (None, "BYTES[1]"),
        ([1, 2], "BYTES[1]"),
        (np.array(["a"]), "BYTES[1]"),
    ],
    ids=str,
)
def test_an_input_of_any_dtype_takes_it_from_the_value(value, expected):
    signature = Signature((TensorSpec("x", "any", optional=True),), ())
    assert sent(value, signature=signature) == [f"x {expected}"]


def test_an_image_input_takes_pictures_and_keeps_one_for_drawing():
    signature = Signature((TensorSpec("image", "uint8", ("H", "W", 3), "image"),), ())
    tensors, picture = bind(signature, (Image.new("L", (4, 2), 7),), {}, "m")
    assert tensors[0].shape == (2, 4, 3)
    assert picture is not None
    assert (picture == 7).all()
    with pytest.raises(InputError, match=r"m: image: there is no file nowhere\.png"):
        bind(signature, ("nowhere.png",), {}, "m")
    floats = Signature((TensorSpec("image", "float32", ("H", "W", 3), "image"),), ())
    assert bind(floats, (Image.new("L", (4, 2), 7),), {}, "m")[0][0].datatype == "FP32"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(2, complex), "an array of complex128[2]: complex numbers cannot be sent: give .real and .imag"),
        (
            np.array([1, None], object),
            "an array of object[2]: its element [1] is None: fill in or drop what is missing first",
        ),
        (
            np.ma.masked_equal([1, 2], 2),
            "an array of int64[2]: a masked array cannot be sent: fill it first, as by .filled(0)",
        ),
        (
            np.zeros(1, [("a", int)]),
            "an array of [('a', '<i8')][1]: structured arrays cannot be sent: give each field by itself, as by ['a']",
        ),
        (np.ones((1,) * 40), f"an array of float64{[1] * 40}: it has 40 dimensions, 32 can be sent: reshape it first"),
        (
            {1: "a", "1": "b"},
            "a dict: it cannot be written as JSON: two keys of a dict become one text, as 1 and '1' do",
        ),
    ],
    ids=["complex", "objects", "masked", "structured", "dimensions", "keys"],
)
def test_a_value_that_cannot_be_sent_is_refused_in_one_sentence_with_advice(value, message):
    with pytest.raises(InputError) as caught:
        bind(Signature((TensorSpec("x", "any"),), ()), (value,), {}, "m")
    assert str(caught.value) == f"m: x: any was given {message}"


@pytest.mark.parametrize("kind", ["", "image"])
def test_an_array_that_is_as_declared_is_sent_without_a_copy(kind):
    signature = Signature((TensorSpec("x", "uint8", ("H", "W", 3), kind),), ())
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    (tensor,), picture = bind(signature, (pixels,), {}, "m")
    assert np.shares_memory(np.frombuffer(tensor.data, np.uint8), pixels)
    assert tensor.shape == (2, 4, 3)
    assert picture is (pixels if kind else None)


def test_a_picture_in_any_layout_is_sent_in_order():
    signature = Signature((TensorSpec("x", "uint8", ("H", "W", 3), "image"),), ())
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for given in (np.asfortranarray(pixels), pixels[::-1, :, ::-1]):
        (tensor,), picture = bind(signature, (given,), {}, "m")
        assert bytes(tensor.data) == given.tobytes()
        np.testing.assert_array_equal(picture, given)


def test_an_empty_picture_is_refused():
    signature = Signature((TensorSpec("x", "uint8", ("H", "W", 3), "image"),), ())
    with pytest.raises(InputError, match="m: x: the picture is empty"):
        bind(signature, (np.zeros((0, 4, 3), np.uint8),), {}, "m")
