"""BYTES tensors: text, bytes and JSON values. The length of each element precedes it, as 4 bytes little-endian."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol.arrays import as_array, is_array, unsendable
from gpumodels.protocol.headers import LENGTH_SIZE, TensorError, unshapely

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LENGTH = struct.Struct("<I")
_BYTES = (bytes, bytearray, memoryview)

#: A numpy text array may take 64 KiB, or 16 times the bytes that came, whichever is more. Larger ones become arrays of
#: objects. Every element of a text array has the size of the longest, so one long text among many short ones could take
#: all memory.
_TEXT_ROOM, _TEXT_TIMES = 64 << 10, 16


def write(value: Any, dtype: str) -> tuple[tuple[int, ...], bytearray]:
    """Return shape and bytes of a value of dtype "str" or "bytes" (one, or an array or list of them) or "json".

    Raises TensorError if the value is not of that dtype. Text is not converted to bytes, nor bytes to text.
    """
    if dtype == "json":
        return (1,), _packed([_json(value)])
    kinds = str if dtype == "str" else _BYTES
    if isinstance(value, kinds):
        return (), _packed([_raw(value)])
    # Lists become object arrays: in numpy's text dtypes each element would have the size of the longest.
    array = as_array(value) if is_array(value) else np.asarray(value, object)
    items = array.ravel().tolist()
    if not all(isinstance(item, kinds) for item in items):
        raise TensorError(unsendable(array, "text" if dtype == "str" else "bytes"))
    return array.shape, _packed(map(_raw, items))


def read(data: memoryview, shape: tuple[int, ...], content_type: str) -> Any:
    """Return the value in the bytes of a BYTES tensor. Raises TensorError if they are not such a value.

    - content_type "str": a `str` for shape [], else an array of texts.
    - content_type "json": the value.
    - any other: `bytes` for shape [], else an object array, because numpy's own bytes dtype drops trailing zeros.
    """
    items = _unpacked(data, math.prod(shape))
    if content_type == "json":
        return _value(items, math.prod(shape))
    values: list[Any] = list(_texts(items) if content_type == "str" else map(bytes, items))
    if shape == ():
        return values[0]
    try:
        return _array(values, len(data), text=content_type == "str").reshape(shape)
    except ValueError:  # (0, 2**62): no elements, but numpy allows no such shape
        raise unshapely(shape) from None


def _array(values: list[Any], nbytes: int, *, text: bool) -> np.ndarray[Any, np.dtype[Any]]:
    longest = max(map(len, values), default=0)
    room = 4 * longest * len(values)
    if text and room <= max(_TEXT_ROOM, _TEXT_TIMES * nbytes) and not any(value.endswith("\0") for value in values):
        return np.array(values, f"U{max(longest, 1)}")
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _texts(items: Iterable[memoryview]) -> Iterator[str]:
    try:
        for item in items:
            yield bytes(item).decode()  # copy first: the other side may change a shared region during `decode`
    except UnicodeDecodeError as error:
        raise TensorError(f"the bytes that came are not text: {error}") from None


def _value(items: Iterable[memoryview], count: int) -> Any:
    if count != 1:
        raise TensorError(f"a JSON value must be one element, but {count} came")
    try:
        return json.loads("".join(_texts(items)))
    except (ValueError, RecursionError) as error:
        raise TensorError(f"the bytes that came are not JSON: {error}") from None


def _json(value: Any) -> bytes:
    try:
        written = json.dumps(value, ensure_ascii=False, default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TensorError(f"it cannot be written as JSON: {error}") from None
    if b"{" in written:
        _check_keys(value)
    return written


def _plain(value: Any) -> Any:
    """Convert an array or scalar inside a JSON value to a list, a number or text."""
    if not is_array(value):
        raise TypeError(f"{type(value).__name__} is not a JSON value")
    return as_array(value).tolist()


def _check_keys(value: Any) -> None:
    """Raise TensorError if two keys of a dict would become the same text, as 1 and "1" do."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if not all(type(key) is str for key in item) and len(_written_keys(item)) < len(item):
                raise TensorError("it cannot be written as JSON: two keys of a dict become one text, as 1 and '1' do")
            item = item.values()
        elif not isinstance(item, (list, tuple)):
            continue
        pending += [inner for inner in item if isinstance(inner, (dict, list, tuple))]


def _written_keys(item: dict[Any, Any]) -> dict[str, None]:
    keys: dict[str, None] = json.loads(json.dumps(dict.fromkeys(item)))
    return keys


def _raw(value: Any) -> bytes:
    if not isinstance(value, str):
        return bytes(value)
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise TensorError(f"it is not Unicode text: {error}") from None


def _packed(items: Iterable[bytes]) -> bytearray:
    packed = bytearray()
    for item in items:
        if len(item) >= 1 << 32:
            raise TensorError("one text or bytes value cannot be longer than 4 GiB")
        packed += _LENGTH.pack(len(item))
        packed += item
    return packed


def _unpacked(data: memoryview, count: int) -> Iterator[memoryview]:
    at = 0
    for _ in range(count):
        begin = at + LENGTH_SIZE
        at = begin + _LENGTH.unpack_from(data, at)[0] if begin <= len(data) else begin
        if at > len(data):
            raise TensorError("a BYTES tensor ends before its last element")
        yield data[begin:at]
    if at != len(data):
        raise TensorError(f"{len(data) - at} bytes follow the last element of a BYTES tensor")
