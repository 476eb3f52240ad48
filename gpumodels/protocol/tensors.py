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

#: The datatypes of numpy dtypes that are sent as they are in memory. BF16 is not among them: its bits are in uint16.
_SENT_AS_IS = {storage(datatype): datatype for datatype in DTYPES if datatype != "BF16"}


class Tensor(NamedTuple):
    """A value ready to be sent: `data` is its bytes, without a copy if the value's memory can be sent as it is."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content_type: str
    data: memoryview

    @property
    def nbytes(self) -> int:
        """The size of `data` in bytes."""
        return len(self.data)


def encode(name: str, value: Any, dtype: str) -> Tensor:
    """Return `value` as a tensor of `dtype`, a name of `signature.DTYPES`. For "any", `any_dtype` chooses the dtype.

    Numbers may be anything that numpy reads as an array (of numpy, torch, pandas, ...), in any memory layout and byte
    order. For "str" and "bytes", give one value, or an array or list of values. Raises TensorError if the value cannot
    be written as `dtype`.
    """
    if dtype == "any":
        dtype, value = _dtype_and_value(value)
        if dtype not in DATATYPES:
            raise TensorError(unsendable(value, "numbers"))
    datatype, content_type = DATATYPES[dtype], ""
    if datatype == "BYTES":
        shape, packed = text.write(value, dtype)
        data, content_type = memoryview(packed), "" if dtype == "bytes" else dtype
    else:
        array, stored = as_array(value), storage(datatype)
        if array.dtype != stored or datatype == "BF16":  # BF16 is stored as uint16, like arrays of whole numbers
            array = np.asarray(cast(array, dtype), stored)
        if not array.flags.c_contiguous:
            array = np.asarray(array, order="C")
        shape, data = array.shape, raw_bytes(array)
    if len(shape) > MAX_DIMENSIONS:
        raise TensorError(f"it has {len(shape)} dimensions, {MAX_DIMENSIONS} can be sent: reshape it first")
    return Tensor(name, datatype, shape, content_type, data)


def any_dtype(value: Any) -> str:
    """Return the dtype for a value without declared dtype: an array's own, "str" or "bytes", and "json" for all else.

    For an array that cannot be sent, return numpy's name of its dtype. Raises TensorError if numpy cannot read it.
    """
    return _dtype_and_value(value)[0]


def _dtype_and_value(value: Any) -> tuple[str, Any]:
    """Return the dtype as `any_dtype` does, and the value, as a numpy array if numpy reads it as an array."""
    if isinstance(value, str):
        return "str", value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes", value
    if not is_array(value):
        return "json", value
    array = as_array(value)
    datatype = _SENT_AS_IS.get(array.dtype)
    if datatype is not None:
        return DTYPES[datatype], array
    name = {"U": "str", "S": "bytes", "T": "str"}.get(array.dtype.kind, array.dtype.name)
    if name == "object" and array.size:
        first = array.flat[0]
        name = "str" if isinstance(first, str) else "bytes" if isinstance(first, bytes) else name
    return name, array


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array of numpy's own dtypes as a flat view. It is writable if the array is."""
    return array.data.cast("B") if array.size else memoryview(bytearray())


def blank(datatype: str, shape: Sequence[int], nbytes: int) -> NDArray[Any]:
    """Return a new array for the `nbytes` bytes of a tensor. The array is flat for BYTES; its values are not set.

    Raises TensorError if a tensor of this datatype and shape cannot have `nbytes` bytes. No memory is allocated before
    this check.
    """
    shape = tuple(shape)
    checked_size(datatype, shape, nbytes)
    try:
        return np.empty(nbytes if datatype == "BYTES" else shape, storage(datatype))
    except ValueError:  # (0, 2**62): no bytes, but numpy allows no such shape
        raise unshapely(shape) from None


def view(datatype: str, shape: Sequence[int], buffer: Any) -> NDArray[Any]:
    """Return an array of this datatype and shape on the bytes of `buffer`. It is writable if the buffer is.

    The array is flat for BYTES. It is a copy only if the bytes are not aligned. Raises TensorError if a tensor of this
    datatype and shape cannot have the size of the buffer.
    """
    shape, nbytes = tuple(shape), memoryview(buffer).nbytes
    checked_size(datatype, shape, nbytes)
    try:
        array = np.ndarray(nbytes if datatype == "BYTES" else shape, storage(datatype), buffer)
    except ValueError:
        raise unshapely(shape) from None
    # Other clients may choose any offset, and numpy code may need aligned arrays.
    return array if array.flags.aligned else array.copy()


def decode(datatype: str, shape: Sequence[int], content_type: str, array: NDArray[Any]) -> Any:
    """Return the value in an array that `blank` or `view` made. Raises TensorError if the bytes are not such a value.

    - Numbers: the array itself. BF16 becomes an `ml_dtypes.bfloat16` array if ml_dtypes is installed, else float32
      (exact).
    - Text (content_type "str"): `str` for shape [], else an array of texts.
    - Bytes: `bytes` for shape [], else an object array, because numpy's own bytes dtype drops trailing zeros.
    - JSON (content_type "json"): the value.
    """
    if datatype == "BF16":
        return bfloat16.from_bits(array)
    if datatype != "BYTES":
        return array
    return text.read(array.data, tuple(shape), content_type)
