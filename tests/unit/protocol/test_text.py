"""Text, bytes and JSON through the codec."""

from __future__ import annotations

import math
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpumodels.protocol.tensors import TensorError, decode, encode, view

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def carried(value, dtype):
    tensor = encode("x", value, dtype)
    return decode(tensor.datatype, tensor.shape, tensor.content_type, view("BYTES", tensor.shape, tensor.data))


def packed(*items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


@settings(deadline=None)
@given(hnp.arrays(object, hnp.array_shapes(min_dims=1, min_side=0), elements=st.binary(max_size=5)))
def test_any_bytes_come_back(array):
    result = carried(array, "bytes")
    assert result.shape == array.shape
    assert result.tolist() == array.tolist()


@settings(deadline=None)
@given(hnp.arrays(object, hnp.array_shapes(min_dims=1, min_side=0), elements=TEXT))
def test_any_text_comes_back(array):
    result = carried(array, "str")
    assert result.shape == array.shape
    assert result.tolist() == array.tolist()


@pytest.mark.parametrize(
    "texts",
    [
        np.array(["a", "bcd"]),
        np.array(["a", "bcd"], ">U7"),
        np.array(["a", "bcd"], object),
        np.array(["a", "bcd"], np.dtypes.StringDType()),
        np.array([["a", "x", "bcd"]])[:, ::2].T.ravel(),
        ["a", "bcd"],
        ("a", "bcd"),
    ],
    ids=lambda texts: str(getattr(texts, "dtype", type(texts))),
)
@pytest.mark.parametrize("dtype", ["str", "any"])
def test_texts_of_every_dtype_come_back_as_a_text_array(texts, dtype):
    if dtype == "any" and not isinstance(texts, np.ndarray):
        assert carried(texts, dtype) == ["a", "bcd"]  # a list of no declared type is JSON
        return
    result = carried(texts, dtype)
    assert result.dtype == np.dtype("U3")
    assert result.tolist() == ["a", "bcd"]


@pytest.mark.parametrize("blobs", [np.array([b"a", b"bcd"]), np.array([b"a", b"bcd"], object), [b"a", b"bcd"]])
def test_bytes_of_every_dtype_come_back_as_an_object_array(blobs):
    result = carried(blobs, "bytes")
    assert result.dtype == object
    assert result.tolist() == [b"a", b"bcd"]


@pytest.mark.parametrize("value", [b"a\0", bytearray(b"a\0"), memoryview(b"a\0"), np.bytes_(b"a\0"), np.array(b"a")])
@pytest.mark.parametrize("dtype", ["bytes", "any"])
def test_one_value_of_bytes_comes_back_as_bytes(value, dtype):
    assert carried(value, dtype) == bytes(value) if not isinstance(value, np.ndarray) else b"a"


@pytest.mark.parametrize("value", ["text", "", "ä\0", np.str_("text"), np.array("text")])
@pytest.mark.parametrize("dtype", ["str", "any"])
def test_one_text_comes_back_as_str(value, dtype):
    result = carried(value, dtype)
    assert type(result) is str
    assert result == str(value)


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [
        ("text", "bytes", "it is not bytes, nor an array"),
        (b"data", "str", "it is not text, nor an array"),
        (5, "str", "it is not text"),
        (None, "str", "it is not text"),
        (["a", None], "str", r"its element \[1\] is None: fill in or drop what is missing first"),
        (["a", float("nan")], "str", r"its element \[1\] is nan: fill in"),
        (np.array(["a", None], np.dtypes.StringDType(na_object=None)), "any", r"its element \[1\] is None: fill in"),
        (["a", b"b"], "str", r"its element \[1\] is b'b', not text: convert it first"),
        ([["a", "b"], ["c"]], "str", r"its element \[0\] is a list: an array's rows are of one length"),
        (np.array(["a"]), "bytes", "text cannot be sent as bytes: convert it first, as by np.char.encode"),
        (np.array([b"a"]), "str", "bytes cannot be sent as text: convert it first, as by np.char.decode"),
        (np.array([1.5]), "str", r"float64 cannot be sent as text: convert it first, as by \.astype\(str\)"),
        ("\ud800", "str", "it is not Unicode text"),
        (["a", "\udc80"], "str", "it is not Unicode text"),
    ],
    ids=repr,
)
def test_values_that_are_not_text_or_bytes_are_refused(value, dtype, match):
    with pytest.raises(TensorError, match=match):
        encode("x", value, dtype)


def test_one_long_text_among_many_does_not_take_all_memory():
    texts = np.array(["x"] * 5000 + ["y" * 100_000], object)
    result = carried(texts, "str")
    assert result.dtype == object
    assert result.tolist() == texts.tolist()


@pytest.mark.parametrize("data", [b"\1\0\0\0", b"\0\0\0\0x", b"\0\0\0", b"\xff\xff\xff\xffabc"])
def test_bytes_that_do_not_add_up_are_refused(data):
    with pytest.raises(TensorError):
        decode("BYTES", [1], "", np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("content_type", ["", "str", "json"])
@pytest.mark.parametrize("shape", [[0, 1 << 62], [0, 1 << 62, 1 << 62]])
def test_no_elements_in_a_shape_that_numpy_does_not_have_are_refused(shape, content_type):
    with pytest.raises(TensorError):
        decode("BYTES", shape, content_type, view("BYTES", shape, b""))


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    )
)
def test_any_json_comes_back(value):
    assert carried(value, "json") == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": np.float32(0.5), "b": np.arange(2)}, {"a": 0.5, "b": [0, 1]}),
        ({"a": [np.bool_(True), np.str_("x"), np.int8(1)]}, {"a": [True, "x", 1]}),
        ((1, (2, 3)), [1, [2, 3]]),
        ({2: "a", None: "b", 1.5: "c", True: "d"}, {"2": "a", "null": "b", "1.5": "c", "true": "d"}),
        ([float("inf"), -float("inf")], [float("inf"), -float("inf")]),
        ("ä", "ä"),
        (10**100, 10**100),
    ],
)
def test_values_are_converted_to_json(value, expected):
    assert carried(value, "json") == expected


def test_nan_inside_json_is_kept():
    (result,) = carried([float("nan")], "json")
    assert math.isnan(result)


def _endless():
    value = []
    value.append(value)
    return value


def _deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (object(), "object is not a JSON value"),
        ({1j}, "set is not a JSON value"),
        (b"x", "bytes is not a JSON value"),
        (float, "JSON value"),
        ([1j], "complex is not a JSON value"),
        (np.array([1j]), "complex is not a JSON value"),
        (np.ma.masked_equal([1, 2], 2), "a masked array cannot be sent"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        ({1: "a", "1": "b"}, "two keys of a dict become one text, as 1 and '1' do"),
        ({"deep": [({None: 1, "null": 2},)]}, "two keys of a dict become one text"),
        (_endless(), "Circular reference"),
        (_deep(100_000), "recursion"),
        (["\ud800"], "surrogates"),
        (10**5000, "Exceeds the limit"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else type(value).__name__,
)
def test_a_value_that_json_cannot_hold_is_refused(value, match):
    with pytest.raises(TensorError, match=match):
        encode("x", value, "json")


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (packed(b"[" * 100_000), [1]),
        (packed(b'{"a":' * 100_000), [1]),
        (packed(b"nul"), [1]),
        (packed(b""), [1]),
        (packed(b'"\xff"'), [1]),
        (packed("1".encode("utf-16")), [1]),
        (packed(b"9" * 5000), [1]),
        (packed(b"1", b"2"), [2]),
        (packed(*[b""] * 5000), [5000]),
        (packed(), [0]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bytes_that_are_not_json_are_refused(data, shape):
    tracemalloc.start()
    try:
        with pytest.raises(TensorError, match=r"JSON|not text"):
            decode("BYTES", shape, "json", view("BYTES", shape, data))
        assert tracemalloc.get_traced_memory()[1] < 50_000 + 4 * len(data)
    finally:
        tracemalloc.stop()


def test_text_takes_no_more_than_a_small_multiple_of_its_bytes():
    data, count = packed(*[b"ab"] * 20_000, b"y" * 500), 20_001
    tracemalloc.start()
    try:
        result = decode("BYTES", [count], "str", view("BYTES", [count], data))
        assert tracemalloc.get_traced_memory()[1] < 32 * len(data)
    finally:
        tracemalloc.stop()
    assert result[-1] == "y" * 500
