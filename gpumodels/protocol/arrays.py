"""Conversion of arrays of any library to numpy arrays, and messages about arrays that cannot be sent.

Only numpy is imported. Arrays of torch and other libraries are recognised by their methods.
"""

from __future__ import annotations

import reprlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol import bfloat16
from gpumodels.protocol.headers import TensorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MISSING = ("NoneType", "NAType", "NaTType")  # None, and the values that pandas uses for it

_LARGE, _TOO_LARGE = 1 << 63, 1 << 64  # whole numbers from _LARGE on need uint64; from _TOO_LARGE on they fit no dtype

_NUMBERS = (int, float, np.number, np.bool_)

#: For each sort of array: an element in words, the Python types of an element, and code that converts an array to it.
_SORTS: dict[str, tuple[str, tuple[type, ...], str]] = {
    "numbers": ("a number", _NUMBERS, ".astype('float32')"),
    "text": ("text", (str,), ".astype(str)"),
    "bytes": ("bytes", (bytes,), "np.char.encode"),
}

_DATES = "dates and times cannot be sent: give numbers, as by .astype('int64'), or text, as by .astype(str)"
#: Messages for kinds of dtype that the protocol cannot send at all.
_NEVER = {"c": "complex numbers cannot be sent: give .real and .imag", "m": _DATES, "M": _DATES}


def is_array(value: Any) -> bool:
    """Return True for an array or scalar of numpy, and values that numpy reads as one (torch, pandas, PIL, ...)."""
    # Look at the type, not at the value: reading this property of a PIL image would produce all its pixels.
    return hasattr(value, "__array__") or hasattr(type(value), "__array_interface__")


def as_array(value: Any) -> NDArray[Any]:
    """Return the value as a numpy array, without a copy if numpy can use its memory.

    Tensors of torch may be on any device. Raises TensorError for a value that numpy cannot read, for ragged lists and
    for masked arrays.
    """
    if type(value) is np.ndarray:
        return value
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TensorError("a masked array cannot be sent: fill it first, as by .filled(0)")
    if hasattr(type(value), "detach") and hasattr(type(value), "cpu"):
        return _read(value, _torch)
    array = _read(value, np.asarray)
    if array.dtype.kind == "O" and hasattr(type(value), "to_numpy"):
        return _numbers(array)
    if array.dtype == np.float64 and isinstance(value, (list, tuple)):
        return _exact(value, array)
    return array


def unsendable(array: NDArray[Any], wanted: str) -> str:
    """Return the reason why the array cannot be sent as `wanted` ("numbers", "text", "bytes"), with advice."""
    dtype, way = array.dtype, _SORTS[wanted][2]
    if dtype.names:
        return f"structured arrays cannot be sent: give each field by itself, as by [{dtype.names[0]!r}]"
    if dtype.kind in _NEVER:
        return _NEVER[dtype.kind]
    if dtype.kind == "O" or (dtype.kind == "T" and wanted == "text"):  # "T": text with missing elements
        return _object(array.astype(object, copy=False), wanted)
    if dtype.kind in "fV" and wanted == "numbers":
        return f"{dtype} is not one of the protocol's dtypes: convert it first, as by {way}"
    if dtype.kind == "S" and wanted == "text":
        way = "np.char.decode"
    held = {"U": "text", "T": "text", "S": "bytes"}.get(dtype.kind, str(dtype))
    return f"{held} cannot be sent as {wanted}: convert it first, as by {way}"


def _read(value: Any, reader: Callable[[Any], NDArray[Any]]) -> NDArray[Any]:
    try:
        return reader(value)
    except Exception as error:  # noqa: BLE001 (the foreign `__array__` may raise anything)
        if isinstance(error, ValueError) and "inhomogeneous" in str(error):
            raise TensorError("its rows differ in length, unlike those of an array: pad them first") from None
        raise TensorError(f"numpy cannot read it: {error}") from None


def _torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) != "torch.bfloat16":
        return np.asarray(tensor)
    # numpy has no bfloat16 of its own, so torch cannot convert it. The torch module is loaded, as this is its tensor.
    return bfloat16.from_bits(np.asarray(tensor.view(sys.modules["torch"].int16)).view(np.uint16))


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Convert an array of objects to numbers if all are numbers.

    Columns of pandas that may hold missing values come as objects, even if no value is missing.
    """
    if array.size and all(isinstance(item, _NUMBERS) for item in array.flat):
        return np.asarray(array.tolist())
    return array


def _exact(value: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Return the list `value` as uint64 if its items are whole numbers from 0 on, some of 2^63 or more; else `array`.

    `array` is what numpy makes of such a list if it holds smaller numbers too: rounded floats.
    """
    if array.size == 0 or not array.max() >= _LARGE:
        return array
    items = np.asarray(value, object)
    if all(isinstance(item, int) and 0 <= item < _TOO_LARGE for item in items.flat):
        return items.astype(np.uint64)
    return array


def _object(array: NDArray[Any], wanted: str) -> str:
    called, types, way = _SORTS[wanted]
    if array.ndim == 0:
        return f"it is not {called}, nor an array"
    for index, item in np.ndenumerate(array):
        what = f"its element [{', '.join(map(str, index))}] is"
        if type(item).__name__ in _MISSING or (isinstance(item, float) and wanted != "numbers"):
            return f"{what} {item!r}: fill in or drop what is missing first"
        if isinstance(item, (list, tuple, np.ndarray)):
            return f"{what} a {type(item).__name__}: an array's rows are of one length, pad them first"
        if not isinstance(item, types):
            return f"{what} {reprlib.repr(item)}, not {called}: convert it first"
        if isinstance(item, int) and not -(1 << 63) <= item < 1 << 64:
            return f"{what} a whole number beyond 64 bits"
    return f"it holds Python objects: convert it first, as by {way}"
