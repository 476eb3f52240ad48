"""Arrays of torch, pandas and other libraries, which are recognised without importing the libraries."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ml_dtypes import bfloat16 as bf16
from ml_dtypes import float8_e4m3fn
from PIL import Image

from gpumodels.protocol import bfloat16
from gpumodels.protocol.arrays import as_array
from gpumodels.protocol.headers import TensorError
from gpumodels.protocol.tensors import decode, encode, view

HALVES = np.array([[1.5, -2.0], [np.inf, 0.0]], np.float32)


def carried(value, dtype="any"):
    tensor = encode("x", value, dtype)
    return decode(tensor.datatype, tensor.shape, tensor.content_type, view(tensor.datatype, tensor.shape, tensor.data))


class Tensor:
    """A fake of a torch tensor. It cannot be read by numpy while on a GPU, with a gradient, or in bfloat16."""

    def __init__(self, array, dtype, *, device="cuda:0", requires_grad=True):
        self.array, self.dtype, self.device, self.requires_grad = array, dtype, device, requires_grad

    def __array__(self, dtype=None, copy=None):
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()")
        if str(self.dtype) == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array

    def detach(self):
        return Tensor(self.array, self.dtype, device=self.device, requires_grad=False)

    def cpu(self):
        return Tensor(self.array, self.dtype, device="cpu", requires_grad=self.requires_grad)

    def view(self, dtype):
        return Tensor(self.array.view(dtype), dtype, device=self.device, requires_grad=self.requires_grad)


@pytest.fixture
def torch(monkeypatch):
    """The module torch, which is loaded if there is a tensor of it."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(int16=np.int16))


@pytest.fixture(params=[True, False], ids=["with ml_dtypes", "without ml_dtypes"])
def has_bfloat16(request, monkeypatch):
    """True if numpy has bfloat16, which comes with the package ml_dtypes, and False without it."""
    monkeypatch.setattr(bfloat16, "_known_to_numpy", lambda: np.dtype(bf16) if request.param else None)
    return request.param


def test_a_tensor_on_a_gpu_is_copied_from_there():
    result = carried(Tensor(HALVES, "torch.float32"))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, HALVES)


@pytest.mark.usefixtures("torch")
def test_a_bfloat16_tensor_is_sent_as_its_bits(has_bfloat16):
    tensor = Tensor(bfloat16.to_bits(HALVES), "torch.bfloat16")
    assert encode("x", tensor, "bfloat16").datatype == "BF16"
    assert encode("x", tensor, "any").datatype == ("BF16" if has_bfloat16 else "FP32")
    for dtype in ("any", "bfloat16", "float32"):
        np.testing.assert_array_equal(carried(tensor, dtype).astype(np.float32), HALVES)


def test_a_bfloat16_array_comes_back_as_bfloat16():
    array = HALVES.astype(bf16)
    for given in (array, array.T, array[::-1], array[0, 0], np.zeros((0, 2), bf16)):
        for dtype in ("any", "bfloat16"):
            result = carried(given, dtype)
            assert result.dtype == bf16
            np.testing.assert_array_equal(result.astype(float), np.asarray(given).astype(float))
    assert np.shares_memory(np.frombuffer(encode("x", array, "any").data, np.uint16), array.view(np.uint16))
    assert carried(array, "float64").dtype == np.float64


def test_other_small_floats_are_refused():
    with pytest.raises(TensorError, match=r"float8_e4m3fn is not one of the protocol's dtypes: .*astype\('float32'\)"):
        encode("x", np.ones(2, float8_e4m3fn), "any")


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        (pd.Series([1, 2]), "any", np.array([1, 2])),
        (pd.Series([1.5, 2]), "float32", np.array([1.5, 2], np.float32)),
        (pd.Series([1, 2], dtype="Int64"), "any", np.array([1, 2])),
        (pd.Series([1, 2], dtype="Int64"), "uint8", np.array([1, 2], np.uint8)),
        (pd.Series([True, False], dtype="boolean"), "bool", np.array([True, False])),
        (pd.Series([3, 4], dtype="category"), "int8", np.array([3, 4], np.int8)),
        (pd.Series(["a", "b"], dtype="category"), "any", np.array(["a", "b"])),
        (pd.Series(["a", "b"]), "any", np.array(["a", "b"])),
        (pd.Series(["a", "b"], dtype="string"), "str", np.array(["a", "b"])),
        (pd.Series([], dtype="string"), "str", np.array([], "U1")),
        (pd.Series([1, 2, 3])[::-2], "int64", np.array([3, 1])),
        (pd.Index([1, 2]), "any", np.array([1, 2])),
        (pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5]}), "float32", np.array([[1, 1.5], [2, 2.5]], np.float32)),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}).astype("Int64"), "int64", np.array([[1, 3], [2, 4]])),
        (pd.DataFrame({"a": pd.array([], "Int64")}), "float32", np.empty((0, 1), np.float32)),
        (pd.Series([1, 2]), "json", [1, 2]),
        (pd.Series(["a", "b"]), "json", ["a", "b"]),
    ],
)
def test_columns_of_pandas_are_sent_as_arrays(column, dtype, expected):
    result = carried(column, dtype)
    assert getattr(result, "dtype", None) == getattr(expected, "dtype", None)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("column", "dtype", "match"),
    [
        (pd.Series([1, None], dtype="Int64"), "int64", "nan|NA"),
        (pd.Series([True, None], dtype="boolean"), "bool", r"its element \[1\] is <NA>: fill in or drop"),
        (pd.Series(["a", None]), "str", r"its element \[1\] is nan: fill in or drop"),
        (pd.Series(["a", None], dtype="category"), "any", r"its element \[1\] is nan: fill in or drop"),
        (pd.DataFrame({"a": [1, None], "b": [1, 2]}).astype("Int64"), "float32", r"its element \[1, 0\] is <NA>"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "float32", r"its element \[0, 1\] is 'x', not a number"),
        (pd.Series([1, "a"]), "any", r"its element \[1\] is 'a', not a number"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "any", "dates and times cannot be sent"),
        (pd.Series(pd.to_datetime(["2020-01-01"], utc=True)), "any", r"its element \[0\] is Timestamp"),
    ],
)
def test_columns_that_cannot_be_sent_are_refused_with_the_reason(column, dtype, match):
    with pytest.raises(TensorError, match=match):
        encode("x", column, dtype)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.ma.masked_equal([1, 2], 2), "a masked array cannot be sent: fill it first, as by .filled"),
        (np.array([[1], [2, 3]], object), r"its element \[0\] is a list: an array's rows are of one length"),
        (np.array([1, 2], object), "it holds Python objects: convert it first, as by .astype"),
        (np.array([1, 1 << 70], object), r"its element \[1\] is a whole number beyond 64 bits"),
        (np.array([{}, 1], object), r"its element \[0\] is \{\}, not a number: convert it first"),
        (np.float32, "it is not a number, nor an array"),
    ],
)
def test_arrays_that_cannot_be_sent_are_refused_with_the_reason(value, match):
    for dtype in ("any", "float32"):
        with pytest.raises(TensorError, match=match):
            encode("x", value, dtype)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([[1, 2], [3]], "its rows differ in length, unlike those of an array: pad them first"),
        ([1, None], r"its element \[1\] is None: fill in or drop what is missing first"),
        ([1, 1 << 70], r"its element \[1\] is a whole number beyond 64 bits"),
        (["1", "2"], "text cannot be sent as numbers"),
        ({"a": 1}, "it is not a number, nor an array"),
        (iter([1]), "it is not a number, nor an array"),
    ],
)
def test_lists_that_are_not_arrays_are_refused_with_the_reason(value, match):
    with pytest.raises(TensorError, match=match):
        encode("x", value, "float32")


def test_the_pixels_of_a_picture_are_read_once(monkeypatch):
    looked = []
    pixels = Image.Image.tobytes
    monkeypatch.setattr(Image.Image, "tobytes", lambda self, *args: looked.append(1) or pixels(self, *args))
    np.testing.assert_array_equal(carried(Image.new("L", (3, 2), 7)), np.full((2, 3), 7))
    assert len(looked) == 1


def test_an_array_is_not_copied():
    array = np.arange(3)
    assert as_array(array) is array
    assert np.shares_memory(as_array(pd.Series(array, copy=False)), array)


def test_nothing_but_numpy_is_imported_for_an_array():
    program = (
        "import sys, numpy as np\n"
        "from gpumodels.protocol.tensors import decode, encode\n"
        "for value in (np.ones(3), np.float16(1), [1.0], 'text', {'a': np.ones(2)}):\n"
        "    encode('x', value, 'any')\n"
        "assert not {'torch', 'pandas', 'PIL', 'ml_dtypes'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("number", [(1 << 63) + 1, (1 << 64) - 1024, (1 << 64) - 1])
def test_large_whole_numbers_keep_their_last_digits_beside_small_ones(number):
    array = as_array([[0, number], [1, 2]])
    assert array.dtype == np.uint64
    assert array.tolist() == [[0, number], [1, 2]]


@pytest.mark.parametrize("numbers", [[1 << 63, -1], [1 << 64, 0], [1e19, 1], [float("nan"), 1 << 63]])
def test_other_lists_with_large_numbers_are_read_as_numpy_reads_them(numbers):
    assert as_array(numbers).dtype in (np.float64, object)
