"""The tensor codec: numpy arrays, strings, bytes and JSON to the protocol's datatypes and back. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpumodels.protocol import bfloat16, text
from gpumodels.protocol.arrays import as_array, is_array, unsendable
from gpumodels.protocol.casting import cast
from gpumodels.protocol.headers import (
    CONTENT_TYPE,
    DATATYPES,
    DTYPES,
    MAX_DIMENSIONS,
    TensorError,
    checked_size,
    storage,
    unshapely,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "CONTENT_TYPE",
    "DATATYPES",
    "DTYPES",
    "Tensor",
    "TensorError",
    "any_dtype",
    "blank",
    "decode",
    "encode",
    "raw_bytes",
    "storage",
    "view",
]

#: What lies in memory as it travels: the datatype of each such dtype. (bfloat16's bits in uint16 are none.)
_AS_IT_IS = {storage(datatype): datatype for datatype in DTYPES if datatype != "BF16"}


class Tensor(NamedTuple):
    """A value ready for the wire: `data` is its bytes, without a copy where the value allowed it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content_type: str
    data: memoryview

    @property
    def nbytes(self) -> int:
        """Size of `data` in bytes."""
        return len(self.data)


def encode(name: str, value: Any, dtype: str) -> Tensor:
    """Write `value` as `dtype` (a name of `signature.DTYPES`); "any" takes it from the value, as `any_dtype` tells.

    Numbers: whatever numpy reads as an array, in any memory layout and byte order, of numpy, torch, pandas, ...
    "str" and "bytes": one value, or an array or list of them. Raises TensorError where it cannot be written so.
    """
    if dtype == "any":
        dtype, value = _told(value)
        if dtype not in DATATYPES:
            raise TensorError(unsendable(value, "numbers"))
    datatype, content_type = DATATYPES[dtype], ""
    if datatype == "BYTES":
        shape, packed = text.write(value, dtype)
        data, content_type = memoryview(packed), "" if dtype == "bytes" else dtype
    else:
        array, stored = as_array(value), storage(datatype)
        if array.dtype != stored or datatype == "BF16":  # whose storage, uint16, are numbers of their own
            array = np.asarray(cast(array, dtype), stored)
        if not array.flags.c_contiguous:
            array = np.asarray(array, order="C")
        shape, data = array.shape, raw_bytes(array)
    if len(shape) > MAX_DIMENSIONS:
        raise TensorError(f"it has {len(shape)} dimensions, {MAX_DIMENSIONS} can be sent: reshape it first")
    return Tensor(name, datatype, shape, content_type, data)


def any_dtype(value: Any) -> str:
    """How a value of no declared type travels: arrays as they are, text and bytes as such, all else as JSON.

    For arrays of what cannot be sent it is numpy's name of that. Raises TensorError for what numpy cannot read.
    """
    return _told(value)[0]


def _told(value: Any) -> tuple[str, Any]:
    """`any_dtype`, and the value, read as an array where it is one."""
    if isinstance(value, str):
        return "str", value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes", value
    if not is_array(value):
        return "json", value
    array = as_array(value)
    datatype = _AS_IT_IS.get(array.dtype)
    if datatype is not None:
        return DTYPES[datatype], array
    name = {"U": "str", "S": "bytes", "T": "str"}.get(array.dtype.kind, array.dtype.name)
    if name == "object" and array.size:
        first = array.flat[0]
        name = "str" if isinstance(first, str) else "bytes" if isinstance(first, bytes) else name
    return name, array


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array of numpy's own dtypes as a flat view, writable where the array is."""
    return array.data.cast("B") if array.size else memoryview(bytearray())


def blank(datatype: str, shape: Sequence[int], nbytes: int) -> NDArray[Any]:
    """A new array that owns its memory and takes the bytes of such a tensor (flat for BYTES).

    Raises TensorError, before it allocates, where `nbytes` bytes are no such tensor.
    """
    shape = tuple(shape)
    checked_size(datatype, shape, nbytes)
    try:
        return np.empty(nbytes if datatype == "BYTES" else shape, storage(datatype))
    except ValueError:  # (0, 2**62): no bytes, but numpy has no such shape
        raise unshapely(shape) from None


def view(datatype: str, shape: Sequence[int], buffer: Any) -> NDArray[Any]:
    """A view of `buffer` (not a copy) as such a tensor (flat for BYTES); writable where the buffer is.

    Raises TensorError where the buffer is no such tensor.
    """
    shape, nbytes = tuple(shape), memoryview(buffer).nbytes
    checked_size(datatype, shape, nbytes)
    try:
        array = np.ndarray(nbytes if datatype == "BYTES" else shape, storage(datatype), buffer)
    except ValueError:
        raise unshapely(shape) from None
    return array if array.flags.aligned else array.copy()  # a foreign client's offset: numpy code may need alignment


def decode(datatype: str, shape: Sequence[int], content_type: str, array: NDArray[Any]) -> Any:
    """The value that `array`, as `blank` or `view` made it, holds.

    Numbers: the array itself. BF16: an `ml_dtypes.bfloat16` array where ml_dtypes is installed, else widened to float32
    (exact). Text: `str` for shape [], else an array of them; bytes: `bytes`, or an object array (numpy's own bytes
    dtype drops trailing zeros). JSON: the value. Raises TensorError where the bytes are not that.
    """
    if datatype == "BF16":
        return bfloat16.from_bits(array)
    if datatype != "BYTES":
        return array
    return text.read(array.data, tuple(shape), content_type)
