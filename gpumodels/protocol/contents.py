"""Tensors in messages: their headers, references to regions, and values inside the message.

Values inside a message are raw bytes, or the typed fields of clients and servers that do not use raw bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol import files, messages
from gpumodels.protocol.casting import cast
from gpumodels.protocol.headers import DTYPES, TensorError, shown, storage
from gpumodels.protocol.tensors import CONTENT_TYPE, blank, encode, raw_bytes, view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gpumodels.protocol.tensors import Tensor

#: The most bytes of tensors that a message may hold. A message of protobuf has at most 2 GiB.
MESSAGE_LIMIT = (1 << 31) - (1 << 20)

#: The field of InferTensorContents that holds each datatype, and the dtype of its values.
_FIELDS = {
    "BOOL": ("bool_contents", "bool"),
    "INT8": ("int_contents", "int32"),
    "INT16": ("int_contents", "int32"),
    "INT32": ("int_contents", "int32"),
    "INT64": ("int64_contents", "int64"),
    "UINT8": ("uint_contents", "uint32"),
    "UINT16": ("uint_contents", "uint32"),
    "UINT32": ("uint_contents", "uint32"),
    "UINT64": ("uint64_contents", "uint64"),
    "FP32": ("fp32_contents", "float32"),
    "FP64": ("fp64_contents", "float64"),
    "BYTES": ("bytes_contents", "bytes"),
}


def add_header(tensors: Any, tensor: Tensor) -> Any:
    """Add a header (name, datatype and shape) to the inputs of a request or the outputs of a response. Return it."""
    header = tensors.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    if tensor.content_type:
        messages.set_parameters(header, **{CONTENT_TYPE: tensor.content_type})
    return header


def point(header: Any, region: str, size: int, offset: int) -> None:
    """Record in a tensor's header that it is `size` bytes at `offset` of the region, as in Triton's extension."""
    facts: dict[str, str | int] = {files.REGION: region, files.BYTE_SIZE: size, files.OFFSET: offset}
    messages.set_parameters(header, **facts)


def from_message(tensor: Any, raw: bytes | None) -> NDArray[Any]:
    """Return an array for `tensors.decode`, made of the raw bytes, or of the typed contents if `raw` is None.

    `tensor` is an InferInputTensor or InferOutputTensor. Raises TensorError.
    """
    if raw is None:
        return _typed(tensor)
    if tensor.datatype == "BYTES":
        return view("BYTES", tensor.shape, raw)
    array = blank(tensor.datatype, tensor.shape, len(raw))
    raw_bytes(array)[:] = raw
    return array


def _typed(tensor: Any) -> NDArray[Any]:
    if tensor.datatype not in _FIELDS:
        storage(tensor.datatype)  # raises if the protocol has no such datatype
        raise TensorError(f"{tensor.datatype} must be sent as raw bytes")
    field, dtype = _FIELDS[tensor.datatype]
    values, shape = getattr(tensor.contents, field), tuple(tensor.shape)
    if len(values) != math.prod(shape):
        raise TensorError(f"{tensor.datatype}{shown(shape)} came with {len(values)} values")
    if tensor.datatype == "BYTES":
        return view("BYTES", shape, encode("", list(values), "bytes").data)
    array = blank(tensor.datatype, shape, len(values) * storage(tensor.datatype).itemsize)
    array.reshape(-1)[:] = cast(np.fromiter(values, dtype, len(values)), DTYPES[tensor.datatype])
    return array
