"""Headers of tensors (datatype and shape) and their checks.

A header comes from the other side and may be wrong. No memory is allocated for it before `checked_size` has compared it
with the bytes that came. Sizes are Python integers, so products of dimensions do not overflow.
"""

from __future__ import annotations

import math
import reprlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The protocol's datatype of each dtype. Text, bytes and JSON are all sent as BYTES.
DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    "bytes": "BYTES",
    "json": "BYTES",
}
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items() if datatype != "BYTES"}

#: The parameter of a BYTES tensor for the kind of its elements: "str" or "json". Plain bytes have none.
CONTENT_TYPE = "content_type"

#: The most dimensions that all supported versions of numpy have.
MAX_DIMENSIONS = 32

#: The bytes of the length that precedes each element of a BYTES tensor.
LENGTH_SIZE = 4

_STORAGE = {
    "BYTES": np.dtype(np.uint8),
    **{datatype: np.dtype("<u2" if dtype == "bfloat16" else dtype) for datatype, dtype in DTYPES.items()},
}
_STORAGE = {datatype: dtype.newbyteorder("<") for datatype, dtype in _STORAGE.items()}


class TensorError(ValueError):
    """The error for a value that cannot be written as a tensor, or bytes that do not match their header."""


def storage(datatype: str) -> np.dtype[Any]:
    """Return the numpy dtype that holds the bytes of `datatype`: uint16 for BF16, uint8 for BYTES."""
    try:
        return _STORAGE[datatype]
    except KeyError:
        raise TensorError(f"the protocol has no datatype {reprlib.repr(datatype)}") from None


def checked_size(datatype: str, shape: Sequence[int], nbytes: int) -> None:
    """Raise TensorError unless `nbytes` bytes can be a tensor with this header."""
    if len(shape) > MAX_DIMENSIONS or (shape and min(shape) < 0):
        raise unshapely(shape)
    size = storage(datatype).itemsize if datatype != "BYTES" else LENGTH_SIZE
    needed = math.prod(shape) * size
    if nbytes == needed or (datatype == "BYTES" and nbytes > needed):
        return
    least = "at least " if datatype == "BYTES" else ""
    raise TensorError(f"{datatype}{shown(shape)} needs {least}{needed} bytes, {nbytes} came")


def unshapely(shape: Sequence[int]) -> TensorError:
    """Return the error for a shape that no array can have, such as (-1, 3), or (0, 2**62) of float64."""
    return TensorError(f"a tensor cannot have the shape {shown(shape)}")


def shown(shape: Sequence[int]) -> str:
    """Return a shape for a message, such as "[2, 3]". Shorten shapes with too many dimensions."""
    sizes = [str(size) for size in shape[: MAX_DIMENSIONS + 1]]
    if len(shape) > MAX_DIMENSIONS:
        sizes[8:] = [f"... {len(shape)} dimensions"]
    return f"[{', '.join(sizes)}]"
