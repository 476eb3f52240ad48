"""Reading a checkpoint in torch's old file format (before 1.6) into numpy arrays, without torch.

The file holds, in this order: three pickles (magic number, protocol, description of the machine), a pickle of the
objects, where every tensor names its storage, a pickle of the storages' keys, and for each key a little-endian 64-bit
count and the raw elements. A pickle is a program and can run any code. This reader allows it to call only the
functions in `_ALLOWED`. None of them is torch's, and none does more than keep its arguments.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


class CheckpointError(ValueError):
    """An error raised for a file that is no checkpoint of this format, is damaged, or tries to run code."""


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(  # the format prescribes these arguments and their order
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_grad_and_hooks: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "DoubleStorage"): np.dtype("<f8"),
    ("torch", "HalfStorage"): np.dtype("<f2"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch", "IntStorage"): np.dtype("<i4"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise CheckpointError(f"it asks for {module}.{name}, which no table of weights needs") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, count, view = pid
        if kind != "storage" or view is not None or not isinstance(dtype, np.dtype):
            raise CheckpointError(f"it refers to {kind!r}, and only whole storages are read")
        return _Storage(str(key), dtype, int(count))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the objects saved in `path`, with tensors as read-only numpy arrays of the same dtype and shape.

    Raises CheckpointError, which names the file, if it has another format, is truncated, or tries to run code.
    """
    data = path.read_bytes()
    try:
        content, storages = _parse(data)
        return _resolve(content, storages)  # type: ignore[no-any-return]
    except CheckpointError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - a damaged pickle may raise anything
        reason = f"it is damaged or of another format ({type(error).__name__}: {error})"
    raise CheckpointError(f"{path.name} cannot be read as weights: {reason}; fetch the file again.")


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    stream = io.BytesIO(data)
    if _Unpickler(stream).load() != _MAGIC or _Unpickler(stream).load() != _PROTOCOL:
        raise CheckpointError("it is not in torch's old file format")
    if not _Unpickler(stream).load().get("little_endian", False):
        raise CheckpointError("it was written on a big-endian machine")
    reader = _Unpickler(stream)
    content = reader.load()
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds a {type(content).__name__} where a table of weights was expected")
    declared = {storage.key: storage for storage in _storages(content)}
    storages, position = {}, 0
    keys = _Unpickler(stream).load()
    position = stream.tell()
    for key in keys:
        storages[key], position = _read_storage(data, position, declared[key])
    return content, storages


def _storages(content: Any) -> list[_Storage]:
    if isinstance(content, _Tensor):
        return [content.storage]
    if isinstance(content, dict):
        return [storage for value in content.values() for storage in _storages(value)]
    return []


def _read_storage(data: bytes, position: int, storage: _Storage) -> tuple[np.ndarray[Any, Any], int]:
    start = position + 8
    end = start + storage.length * storage.dtype.itemsize
    if int.from_bytes(data[position:start], "little") != storage.length or storage.length < 0:
        raise CheckpointError(f"storage {storage.key} has not the size that its tensors expect")
    if end > len(data):
        raise CheckpointError(f"it is truncated: {end - len(data)} bytes or more are missing")
    return np.frombuffer(data, storage.dtype, storage.length, start), end


def _resolve(content: Any, storages: dict[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(content, _Tensor):
        return _array(content, storages[content.storage.key])
    if isinstance(content, dict):
        return {key: _resolve(value, storages) for key, value in content.items()}
    return content


def _array(tensor: _Tensor, storage: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the tensor as a view of its storage. Raises CheckpointError if it reaches outside of the storage."""
    sizes = (tensor.offset, *tensor.shape, *tensor.strides)
    if any(not isinstance(size, int) or size < 0 for size in sizes) or len(tensor.shape) != len(tensor.strides):
        raise CheckpointError(f"a tensor has the shape {tensor.shape} with strides {tensor.strides}")
    if 0 in tensor.shape:
        return np.empty(tensor.shape, storage.dtype)
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if last >= storage.size:
        raise CheckpointError(f"a tensor of shape {tensor.shape} reaches beyond its storage of {storage.size} elements")
    strides = [step * storage.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
