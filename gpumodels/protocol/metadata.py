"""Signatures in ModelMetadata messages.

The protocol has fields for name, datatype and sizes. Our server sends the other facts of a signature as parameters,
which other clients ignore: the dtype of values sent as BYTES, names of free sizes, kind, optional, description. Other
servers send no such parameters. Their free sizes are named d0, d1, ...
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gpumodels.protocol import messages
from gpumodels.protocol.tensors import DATATYPES, DTYPES
from gpumodels.signature import Signature, SignatureError, TensorSpec


def write_signature(response: Any, signature: Signature) -> None:
    """Write `signature` into a ModelMetadataResponse."""
    for specs, tensors in ((signature.inputs, response.inputs), (signature.outputs, response.outputs)):
        for spec in specs:
            _write(spec, tensors.add())
    if signature.stream:
        messages.set_parameters(response, stream=True)


def read_signature(response: Any) -> Signature:
    """Return the signature in a ModelMetadataResponse of our own or any other server. Raises SignatureError."""
    tensors = [*response.inputs, *response.outputs]
    whole, *facts = [messages.parameters(each) for each in (response, *tensors)]
    tables = [_table(tensor, each) for tensor, each in zip(tensors, facts, strict=True)]
    specs = [TensorSpec.from_table(table) for table in tables]
    # Names of other servers need not be identifiers. Such inputs can still be given by position.
    named = tuple(replace(spec, name=tensor.name) for spec, tensor in zip(specs, tensors, strict=True))
    count = len(response.inputs)
    return Signature(named[:count], named[count:], whole.get("stream") is True)


def _write(spec: TensorSpec, tensor: Any) -> None:
    tensor.name, tensor.datatype = spec.name, DATATYPES.get(spec.dtype, "BYTES")
    tensor.shape.extend(size if isinstance(size, int) else -1 for size in spec.shape or ())
    messages.set_parameters(tensor, dtype=spec.dtype, dims=json.dumps(spec.shape))
    if spec.kind:
        messages.set_parameters(tensor, kind=spec.kind)
    if spec.optional:
        messages.set_parameters(tensor, optional=True)
    if spec.description:
        messages.set_parameters(tensor, description=spec.description)


def _table(tensor: Any, facts: dict[str, Any]) -> dict[str, Any]:
    """Return a tensor of the metadata, with its parameters `facts`, as a table of `model.toml`. The name is "x"."""
    try:
        shape = json.loads(str(facts["dims"])) if "dims" in facts else _dims(tensor.shape)
    except (ValueError, RecursionError) as error:
        raise SignatureError("dims", str(error)) from None
    table: dict[str, Any] = {key: facts[key] for key in ("kind", "optional", "description") if key in facts}
    dtype = facts.get("dtype", DTYPES.get(tensor.datatype, "bytes"))
    return {**table, "name": "x", "dtype": dtype, "shape": shape}


def _dims(shape: Any) -> list[int | str]:
    return [f"d{index}" if size < 0 else size for index, size in enumerate(shape)]
