"""Numbers through the codec: every dtype, shape and memory layout, and wrong headers."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpumodels.protocol import bfloat16, messages, tensors
from gpumodels.protocol.casting import cast
from gpumodels.protocol.contents import from_message
from gpumodels.protocol.tensors import TensorError, blank, decode, encode, raw_bytes, view

NUMERIC = [name for name in tensors.DATATYPES if name not in {"str", "bytes", "json", "bfloat16"}]

LAYOUTS = {
    "as it is": lambda array: array,
    "Fortran": np.asfortranarray,
    "transposed": np.transpose,
    "backwards": lambda array: array[(slice(None, None, -1),) * array.ndim],
    "every other": lambda array: array[(slice(None, None, 2),) * array.ndim],
    "repeated": lambda array: np.broadcast_to(array, (2, *array.shape)),
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "a view of a class of its own": lambda array: array.view(type("Own", (np.ndarray,), {})),
}


def carried(value, dtype):
    """Encode a value, copy the bytes as a connection does, and decode them."""
    tensor = encode("x", value, dtype)
    array = blank(tensor.datatype, tensor.shape, tensor.nbytes)
    raw_bytes(array)[:] = tensor.data
    return decode(tensor.datatype, tensor.shape, tensor.content_type, array)


@settings(deadline=None)
@given(
    hnp.arrays(st.sampled_from(NUMERIC), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)),
    st.sampled_from(list(LAYOUTS)),
    st.booleans(),
)
def test_any_array_in_any_layout_comes_back(array, layout, declared):
    given = np.asanyarray(LAYOUTS[layout](array))
    given.flags.writeable = False
    result = carried(given, array.dtype.name if declared else "any")
    assert result.dtype == array.dtype
    assert result.shape == given.shape
    np.testing.assert_array_equal(result, given)


@settings(deadline=None)
@given(hnp.arrays(st.sampled_from(sorted(set(NUMERIC) - {"float16"})), hnp.array_shapes(min_dims=0, min_side=0)))
def test_typed_contents_are_the_same_as_raw_bytes(array):
    tensor = encode("x", array, "any")
    header = messages.ModelInferRequest().inputs.add(name="x", datatype=tensor.datatype, shape=tensor.shape)
    field = f"{array.dtype.kind.replace('i', 'int').replace('u', 'uint').replace('f', 'fp').replace('b', 'bool')}"
    size = {"fp": str(8 * array.dtype.itemsize)}.get(field, "64" if array.dtype.itemsize == 8 else "")
    getattr(header.contents, f"{field}{size}_contents").extend(array.ravel().tolist())
    typed, raw = from_message(header, None), from_message(header, bytes(tensor.data))
    assert typed.dtype == raw.dtype
    assert typed.shape == raw.shape
    np.testing.assert_array_equal(typed, raw)


@pytest.mark.parametrize(
    ("datatype", "shape", "field", "values", "match"),
    [
        ("INT8", [1], "int_contents", [300], "int8 does not hold 300"),
        ("UINT16", [2], "uint_contents", [1, 1 << 16], r"uint16 does not hold 65536 at \[1\]"),
        ("INT32", [2], "int_contents", [1], r"INT32\[2\] came with 1 values"),
        ("INT32", [-1, -1], "int_contents", [1], r"cannot have the shape \[-1, -1\]"),
        ("INT32", [1] * 70, "int_contents", [1], "... 70 dimensions"),
        ("INT32", [0, 1 << 62], "int_contents", [], "cannot have the shape"),
        ("INT32", [1], "fp32_contents", [1.0], "came with 0 values"),
        ("FP16", [1], "fp32_contents", [1.0], "FP16 must be sent as raw bytes"),
        ("FP128", [1], "fp64_contents", [1.0], "no datatype 'FP128'"),
        ("BYTES", [1, 1 << 40], "bytes_contents", [b"a"], "came with 1 values"),
    ],
)
def test_typed_contents_that_do_not_match_their_header_are_refused(datatype, shape, field, values, match):
    header = messages.ModelInferRequest().inputs.add(name="x", datatype=datatype, shape=shape)
    getattr(header.contents, field).extend(values)
    with pytest.raises(TensorError, match=match):
        from_message(header, None)


def test_contiguous_arrays_are_not_copied():
    array = np.arange(10.0)
    assert np.shares_memory(np.frombuffer(encode("x", array, "float64").data, np.float64), array)
    buffer = bytearray(80)
    view("FP64", [10], buffer)[3] = 1.0
    assert any(buffer)


def test_unaligned_bytes_are_copied():
    array = view("FP64", [1], memoryview(bytearray(9))[1:])
    assert array.flags.aligned


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("datatype", "shape", "nbytes"),
    [
        ("FP32", [2], 7),
        ("FP32", [2], 9),
        ("FP32", [-2], 8),
        ("FP32", [-1, -1], 4),
        ("FP32", [HUGE], 1 << 20),
        ("FP32", [HUGE, HUGE], 0),
        ("FP64", [1 << 61], 0),  # 2**64 bytes, which would be 0 if sizes overflowed
        ("FP64", [0, HUGE], 0),  # no bytes, but numpy allows no such shape
        ("FP64", [0, 1 << 64], 0),
        ("UINT8", [1] * 33, 1),
        ("UINT8", [1] * 100_000, 1),
        ("BYTES", [3], 11),
        ("BYTES", [1 << 40], 1 << 20),
        ("BYTES", [-1], 4),
        ("BYTES", [1] * 33, 4),
        ("FP128", [1], 16),
        ("x" * 100_000, [1], 1),
        ("", [], 0),
    ],
    ids=repr,
)
def test_a_header_that_does_not_match_its_bytes_is_refused_before_memory_is_allocated(datatype, shape, nbytes):
    came = bytes(nbytes)
    tracemalloc.start()
    try:
        for reader in (lambda: blank(datatype, shape, nbytes), lambda: view(datatype, shape, came)):
            with pytest.raises(TensorError) as caught:
                reader()
            assert len(str(caught.value)) < 1000
        assert tracemalloc.get_traced_memory()[1] < 50_000 + 16 * len(shape)
    finally:
        tracemalloc.stop()


NUMBERS = st.integers(-2, 5) | st.sampled_from([33, 1 << 31, 1 << 40, HUGE, (1 << 63) - 1, -(1 << 63)])


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from([*set(tensors.DATATYPES.values()), "FP8"]),
    st.lists(NUMBERS, max_size=4) | st.just([1] * 40),
    st.sampled_from(["", "str", "json", "other"]),
    st.binary(max_size=64) | st.builds(lambda text: b"%c\0\0\0%b" % (len(text), text), st.binary(max_size=40)),
)
def test_any_header_with_any_bytes_is_read_or_refused(datatype, shape, content_type, data):
    with contextlib.suppress(TensorError):
        decode(datatype, shape, content_type, view(datatype, shape, data))


@pytest.mark.parametrize("dims", [33, 64])
def test_more_dimensions_than_can_be_sent_are_refused(dims):
    for array in (np.ones((1,) * dims), np.broadcast_to(np.float32(1), (1,) * dims)):
        with pytest.raises(TensorError, match=f"{dims} dimensions, 32 can be sent"):
            encode("x", array, "float64")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1.0, 2.0]), "int32"),
        (np.array([0, 255]), "uint8"),
        (np.array([1 << 40]), "float32"),
        (np.array([1.1]), "float32"),
        (np.array([1e-300]), "float32"),
        (np.array([np.inf, np.nan]), "float16"),
        (np.array([1, 0]), "bool"),
        (np.array([True]), "float64"),
        (np.array([], float), "uint8"),
        (np.array([], object), "float32"),
    ],
)
def test_casts_that_only_round_are_done(value, dtype):
    result = cast(value, dtype)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, value.astype(float), rtol=1e-6, atol=1e-290)


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [
        (np.array([[0, 1.5]]), "int32", r"int32 does not hold 1\.5 at \[0, 1\]"),
        (np.array(256), "uint8", "uint8 does not hold 256: scale"),
        (np.array([-1]), "uint64", "hold -1"),
        (np.array([np.nan]), "int8", "hold nan"),
        (np.array([1e39]), "float32", r"hold 1e\+39"),
        (np.array([70000]), "float16", "hold 70000"),
        (np.array([3.4e38], np.float32), "bfloat16", r"bfloat16 does not hold 3\.39"),
        (np.array([2]), "bool", "hold 2"),
        (np.array([1 << 63], np.uint64), "int64", "hold 9223372036854775808"),
        (np.array([2.0**63]), "int64", r"hold 9\.22"),
        (np.array(["1"]), "int64", "text cannot be sent as numbers: convert it first, as by .astype"),
        (np.array([b"1"]), "int64", "bytes cannot be sent as numbers"),
        (np.array([None]), "float32", r"its element \[0\] is None: fill in"),
        (np.array([1j]), "float32", "complex numbers cannot be sent: give .real and .imag"),
        (np.array(["2020-01-01"], "datetime64[D]"), "int64", "dates and times cannot be sent"),
        (np.array([1], "timedelta64[s]"), "int64", "dates and times cannot be sent"),
        (np.array([(1, 2.0)], [("a", int), ("b", float)]), "int64", r"give each field by itself, as by \['a'\]"),
        (np.array([1], np.longdouble), "float64", "float128 is not one of the protocol's dtypes"),
        (np.array([b"x"], "V1"), "uint8", "is not one of the protocol's dtypes"),
    ],
)
def test_casts_that_lose_something_are_refused(value, dtype, match):
    with pytest.raises(TensorError, match=match):
        cast(value, dtype)


@pytest.fixture
def no_ml_dtypes(monkeypatch):
    monkeypatch.setattr(bfloat16, "_known_to_numpy", lambda: None)


@pytest.mark.usefixtures("no_ml_dtypes")
def test_bfloat16_rounds_to_nearest_even_and_keeps_nan():
    values = np.array([1.0, 1.00390625, 1.01171875, -0.0, np.inf, np.nan, 3e38], np.float32)
    widened = decode("BF16", values.shape, "", bfloat16.to_bits(values))
    np.testing.assert_array_equal(widened[:2], [1.0, 1.0])
    assert widened[2] == 1.015625
    assert np.signbit(widened[3])
    assert widened[4] == np.inf
    assert np.isnan(widened[5])


@pytest.mark.usefixtures("no_ml_dtypes")
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_bfloat16_of_any_shape_is_widened_to_an_array_of_that_shape(shape):
    result = carried(np.full(shape, 1.5), "bfloat16")
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float32
    assert result.shape == shape
    assert (result == 1.5).all()


@settings(deadline=None)
@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=0, min_side=0)))
def test_every_bfloat16_comes_back_through_float32(bits):
    wide = (bits.reshape(-1).astype(np.uint32) << 16).view(np.float32).reshape(bits.shape)
    result = bfloat16.from_bits(bfloat16.to_bits(wide))
    assert result.shape == bits.shape
    np.testing.assert_array_equal(result.astype(np.float32), wide)
