"""Tensors in the message itself, as raw bytes or in the typed fields that clients and servers without raw bytes use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol.tensors import TensorError, blank, encode, raw_bytes, storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def from_message(tensor: Any, raw: bytes | None) -> NDArray[Any]:
    """A new array, as `tensors.decode` takes it, of the tensor's raw bytes or, where None, of its typed contents.

    `tensor` is an InferInputTensor or InferOutputTensor. Raises TensorError.
    """
    if raw is None:
        return _typed(tensor)
    array = blank(tensor.datatype, tensor.shape, len(raw))
    raw_bytes(array)[:] = raw
    return array


def _typed(tensor: Any) -> NDArray[Any]:
    field = _FIELDS.get(tensor.datatype)
    if field is None:
        raise TensorError(f"{tensor.name}: {tensor.datatype} must be sent as raw bytes")
    values = getattr(tensor.contents, field)
    if any(size < 0 for size in tensor.shape) or len(values) != math.prod(tensor.shape):
        raise TensorError(f"{tensor.name} has the shape {list(tensor.shape)}, but {len(values)} values came")
    if tensor.datatype == "BYTES":
        return np.frombuffer(encode(tensor.name, list(values), "bytes").data, np.uint8)
    try:
        return np.array(values, storage(tensor.datatype)).reshape(tuple(tensor.shape))
    except OverflowError as error:
        raise TensorError(f"{tensor.name}: {error}") from error
