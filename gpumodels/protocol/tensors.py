"""The tensor codec: numpy arrays, strings, bytes and JSON to the protocol's datatypes and back. No I/O.

A header (datatype and shape) comes from the other side and is believed only after `checked_size` has compared it with
the bytes that came. Sizes are Python integers, so no product of dimensions overflows.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

#: The protocol's datatype for every element type; text, bytes and JSON all travel as BYTES.
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

#: The parameter of a BYTES tensor that says what the bytes are: "str", "json", or absent for plain bytes.
CONTENT_TYPE = "content_type"

_MAX_DIMENSIONS = 32
_LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """A tensor cannot be written, or what came is not what its header says."""


@dataclass(frozen=True)
class Tensor:
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
    """Write `value` as `dtype` (a name of `signature.DTYPES`); "str" and "bytes" take one value or an array of them.

    Raises TensorError where the value cannot be written so.
    """
    if dtype == "json":
        return Tensor(name, "BYTES", (1,), "json", memoryview(_pack([_json(value)])))
    if dtype in {"str", "bytes"}:
        array = np.asarray(value, dtype=object)
        content_type = "str" if dtype == "str" else ""
        return Tensor(name, "BYTES", array.shape, content_type, memoryview(_pack(map(_raw, array.ravel()))))
    array = cast(np.asarray(value), dtype)
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return Tensor(name, DATATYPES[dtype], array.shape, "", raw_bytes(array))


def cast(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The array as `dtype` (bfloat16: as its bits in uint16), not copied where it is that already.

    Whole numbers must come out the same; floating point may round, but nothing finite may become infinite. Raises
    TensorError otherwise, and for what holds no numbers (objects, text, complex numbers, dates).
    """
    if array.dtype.name == "bfloat16":
        if dtype == "bfloat16":
            return array.view(np.uint16)
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf" or array.dtype.name == "float128":
        raise TensorError(f"{array.dtype} cannot be made {dtype}")
    target = np.dtype("float32" if dtype == "bfloat16" else dtype)
    with np.errstate(all="ignore"):
        converted = array.astype(target, copy=False)
        if not np.can_cast(array.dtype, target, "safe"):
            lost = np.isfinite(array) & ~np.isfinite(converted) if target.kind == "f" else converted != array
            if lost.any():
                raise TensorError(f"{array.dtype} with values that {dtype} does not hold cannot be made {dtype}")
    return to_bfloat16(converted) if dtype == "bfloat16" else converted


def any_dtype(value: Any) -> str:
    """How a value of no declared type travels: arrays as they are, text and bytes as such, all else as JSON."""
    if isinstance(value, str):
        return "str"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if not isinstance(value, np.generic) and not hasattr(value, "__array__"):
        return "json"
    dtype = np.asarray(value).dtype
    if dtype.kind == "O" and np.size(value) and all(isinstance(item, bytes) for item in np.ravel(value)):
        return "bytes"
    return {"U": "str", "S": "bytes", "T": "str"}.get(dtype.kind, dtype.name)


def raw_bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array as a flat view, writable where the array is."""
    return array.reshape(-1).view(np.uint8).data


def to_bfloat16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to the nearest bfloat16 (ties to even), as its bit pattern in uint16; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    rounded[...] = np.where(np.isnan(array), np.uint16(0x7FC0), rounded)
    return rounded


def checked_size(datatype: str, shape: Sequence[int], nbytes: int) -> None:
    """Raise TensorError unless `nbytes` bytes can be a tensor of this header."""
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise TensorError(f"a tensor cannot have the shape {list(shape)}")
    count = math.prod(shape)
    if datatype == "BYTES":
        if nbytes < count * _LENGTH.size:
            raise TensorError(f"BYTES{list(shape)} needs at least {count * _LENGTH.size} bytes, {nbytes} came")
    elif datatype not in DTYPES:
        raise TensorError(f"the protocol has no datatype {datatype!r}")
    elif nbytes != count * storage(datatype).itemsize:
        raise TensorError(f"{datatype}{list(shape)} is {count * storage(datatype).itemsize} bytes, {nbytes} came")


def storage(datatype: str) -> np.dtype[Any]:
    """The numpy dtype that holds the bytes of `datatype`; bfloat16 lies in uint16, BYTES in uint8."""
    if datatype == "BYTES":
        return np.dtype(np.uint8)
    return np.dtype("<u2" if datatype == "BF16" else DTYPES[datatype])


def blank(datatype: str, shape: Sequence[int], nbytes: int) -> NDArray[Any]:
    """A new array that owns its memory and takes the bytes of such a tensor (flat for BYTES)."""
    checked_size(datatype, shape, nbytes)
    if datatype == "BYTES":
        return np.empty(nbytes, np.uint8)
    try:
        return np.empty(tuple(shape), storage(datatype))
    except ValueError as error:  # (0, 2**62): no bytes, but numpy has no such shape
        raise TensorError(f"a tensor cannot have the shape {list(shape)}") from error


def view(datatype: str, shape: Sequence[int], buffer: Any) -> NDArray[Any]:
    """A view of `buffer` (not a copy) as such a tensor (flat for BYTES); writable where the buffer is."""
    flat = np.frombuffer(buffer, np.uint8)
    checked_size(datatype, shape, flat.size)
    if datatype == "BYTES":
        return flat
    if flat.ctypes.data % storage(datatype).itemsize:  # a foreign client's offset: numpy code may need alignment
        flat = flat.copy()
    try:
        return flat.view(storage(datatype)).reshape(tuple(shape))
    except ValueError as error:
        raise TensorError(f"a tensor cannot have the shape {list(shape)}") from error


def decode(datatype: str, shape: Sequence[int], content_type: str, array: NDArray[Any]) -> Any:
    """The value that `array`, as `blank` or `view` made it, holds.

    Numbers: the array itself. BF16: an `ml_dtypes.bfloat16` array where ml_dtypes is installed, else widened to float32
    (exact). Text: `str` for shape [], else an array of them; bytes: `bytes`, or an object array (numpy's own bytes
    dtype drops trailing zeros). JSON: the value. Raises TensorError where the bytes are not that.
    """
    if datatype == "BF16":
        return _from_bfloat16(array)
    if datatype != "BYTES":
        return array
    items = _unpack(array.data, math.prod(shape))
    try:
        if content_type == "json":
            return json.loads(items[0])
        values: list[Any] = [item.decode() for item in items] if content_type == "str" else items
    except (UnicodeDecodeError, ValueError, IndexError, RecursionError) as error:
        raise TensorError(f"the bytes that came are not {content_type}: {error}") from error
    return _shaped(values, tuple(shape), len(array))


def _shaped(values: list[Any], shape: tuple[int, ...], nbytes: int) -> Any:
    if shape == ():
        return values[0]
    array = np.empty(len(values), object)
    array[:] = values
    longest = max(map(len, values), default=0)
    # A numpy text array gives every element the room of the longest: one long among many short must not eat the memory.
    if all(isinstance(value, str) for value in values) and longest * len(values) <= 16 * nbytes:
        return array.astype(f"U{max(longest, 1)}").reshape(shape)
    return array.reshape(shape)


def _from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[Any]:
    try:
        from ml_dtypes import bfloat16  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError:
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.view(bfloat16)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TensorError(f"cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    """Scalars and arrays of numpy inside a JSON value become plain numbers and lists."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _raw(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TensorError(f"a text or bytes tensor cannot hold a {type(value).__name__}")


def _pack(items: Iterable[bytes]) -> bytearray:
    """Each item after its length in 4 bytes, as the protocol writes BYTES."""
    packed = bytearray()
    for item in items:
        if len(item) >= 1 << 32:
            raise TensorError("one text or bytes value cannot be longer than 4 GiB")
        packed += _LENGTH.pack(len(item))
        packed += item
    return packed


def _unpack(data: memoryview, count: int) -> list[bytes]:
    items, at = [], 0
    for _ in range(count):
        if at + _LENGTH.size > len(data):
            raise TensorError("a BYTES tensor ends before its last element")
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + size > len(data):
            raise TensorError("a BYTES tensor ends before its last element")
        items.append(bytes(data[at : at + size]))
        at += size
    if at != len(data):
        raise TensorError(f"a BYTES tensor is followed by {len(data) - at} bytes that belong to nothing")
    return items
