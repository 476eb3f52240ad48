from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpumodels.protocol import bfloat16, tensors
from gpumodels.protocol.bfloat16 import to_bits
from gpumodels.protocol.tensors import (
    TensorError,
    blank,
    cast,
    checked_size,
    decode,
    encode,
    raw_bytes,
    view,
)

NUMERIC = [name for name in tensors.DATATYPES if name not in {"str", "bytes", "json", "bfloat16"}]


def carried(value, dtype):
    """Through the codec as through the wire."""
    tensor = encode("x", value, dtype)
    array = blank(tensor.datatype, tensor.shape, tensor.nbytes)
    raw_bytes(array)[:] = tensor.data
    return decode(tensor.datatype, tensor.shape, tensor.content_type, array)


@settings(deadline=None)
@given(hnp.arrays(st.sampled_from(NUMERIC), hnp.array_shapes(min_dims=0, min_side=0)))
def test_any_array_comes_back(array):
    result = carried(array, array.dtype.name)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


@settings(deadline=None)
@given(hnp.arrays(object, hnp.array_shapes(min_dims=1, min_side=0), elements=st.binary(max_size=5)))
def test_any_bytes_come_back(array):
    result = carried(array, "bytes")
    assert result.shape == array.shape
    assert result.tolist() == array.tolist()


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_json_comes_back(value):
    assert carried(value, "json") == value


def test_numpy_inside_json_becomes_plain():
    assert carried({"a": np.float32(0.5), "b": np.arange(2)}, "json") == {"a": 0.5, "b": [0, 1]}


@pytest.mark.parametrize("value", [object(), {1j}, b"x", float], ids=repr)
def test_what_is_no_json_is_refused(value):
    with pytest.raises(TensorError, match="cannot be written as JSON"):
        encode("x", value, "json")


def test_contiguous_arrays_are_not_copied():
    array = np.arange(10.0)
    assert np.shares_memory(np.frombuffer(encode("x", array, "float64").data, np.float64), array)
    buffer = bytearray(80)
    view("FP64", [10], buffer)[3] = 1.0
    assert any(buffer)


def test_one_long_text_among_many_does_not_eat_the_memory():
    texts = np.array(["x"] * 5000 + ["y" * 100_000], object)
    result = carried(texts, "str")
    assert result.dtype == object
    assert result.tolist() == texts.tolist()


@pytest.mark.parametrize(
    ("datatype", "shape", "nbytes"),
    [
        ("FP32", [2], 7),
        ("FP32", [2], 9),
        ("FP32", [-2], 8),
        ("FP32", [-1, -1], 4),
        ("FP32", [1 << 62, 1 << 62], 0),
        ("UINT8", [1] * 33, 1),
        ("BYTES", [3], 11),
        ("FP128", [1], 16),
        ("", [], 0),
    ],
)
def test_a_header_that_does_not_fit_its_bytes_is_refused(datatype, shape, nbytes):
    with pytest.raises(TensorError):
        checked_size(datatype, shape, nbytes)


@pytest.mark.parametrize("data", [b"\1\0\0\0", b"\0\0\0\0x", b"\0\0\0", b"\xff\xff\xff\xffabc"])
def test_bytes_that_do_not_add_up_are_refused(data):
    with pytest.raises(TensorError):
        decode("BYTES", [1], "", np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1.0, 2.0]), "int32"),
        (np.array([0, 255]), "uint8"),
        (np.array([1 << 40]), "float32"),
        (np.array([1.1]), "float32"),
        (np.array([np.inf, np.nan]), "float16"),
        (np.array([1, 0]), "bool"),
        (np.array([True]), "float64"),
        (np.array([], float), "uint8"),
    ],
)
def test_casts_that_lose_nothing_that_matters_are_done(value, dtype):
    result = cast(value, dtype)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, value, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1.5]), "int32"),
        (np.array([256]), "uint8"),
        (np.array([-1]), "uint64"),
        (np.array([np.nan]), "int8"),
        (np.array([1e39]), "float32"),
        (np.array([70000]), "float16"),
        (np.array([2]), "bool"),
        (np.array([1 << 63], np.uint64), "int64"),
        (np.array(["1"]), "int64"),
        (np.array([None]), "float32"),
        (np.array([1j]), "float32"),
        (np.array(["2020-01-01"], "datetime64[D]"), "int64"),
    ],
)
def test_casts_that_lose_something_are_refused(value, dtype):
    with pytest.raises(TensorError):
        cast(value, dtype)


def test_bfloat16_rounds_to_nearest_even_and_keeps_nan(monkeypatch):
    monkeypatch.setattr(bfloat16, "_known_to_numpy", lambda: None)  # as if ml_dtypes were not installed
    values = np.array([1.0, 1.00390625, 1.01171875, -0.0, np.inf, np.nan, 3e38], np.float32)
    widened = decode("BF16", values.shape, "", to_bits(values))
    np.testing.assert_array_equal(widened[:2], [1.0, 1.0])
    assert widened[2] == 1.015625
    assert np.signbit(widened[3])
    assert widened[4] == np.inf
    assert np.isnan(widened[5])
