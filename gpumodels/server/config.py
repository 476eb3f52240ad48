"""A signature as Triton's ModelConfig, which its clients read for names, types and whether a model streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.protocol.tensors import DATATYPES

if TYPE_CHECKING:
    from gpumodels.signature import Signature, TensorSpec

#: What stands in platform and backend, where Triton names the program that runs a model.
PLATFORM = "gpumodels"


def write_config(config: Any, name: str, signature: Signature) -> None:
    """Fill a ModelConfig. There is no batch dimension (`max_batch_size` 0): `dims` are whole shapes, -1 where free."""
    config.name, config.platform, config.backend = name, PLATFORM, PLATFORM
    for spec in signature.inputs:
        config.input.add(name=spec.name, data_type=_data_type(spec), dims=_dims(spec), optional=spec.optional)
    for spec in signature.outputs:
        config.output.add(name=spec.name, data_type=_data_type(spec), dims=_dims(spec))


def _data_type(spec: TensorSpec) -> str:
    datatype = DATATYPES.get(spec.dtype, "BYTES")  # as in ModelMetadata
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _dims(spec: TensorSpec) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in spec.shape or ()]
