"""Descriptions of the model for clients: the protocol's ModelMetadata and Triton's ModelConfig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.protocol import DATATYPES, messages, write_signature
from gpumodels.server.replies import MODEL_VERSION

if TYPE_CHECKING:
    from gpumodels.server.calls import Model
    from gpumodels.signature import Signature, TensorSpec

#: The value of the fields `platform` and `backend`, in which Triton names the program that runs a model.
PLATFORM = "gpumodels"


def metadata(model: Model) -> Any:
    """Return the model's ModelMetadataResponse."""
    response = messages.ModelMetadataResponse(name=model.name, versions=[MODEL_VERSION], platform=PLATFORM)
    write_signature(response, model.signature)
    return response


def write_config(config: Any, name: str, signature: Signature) -> None:
    """Fill a ModelConfig.

    `max_batch_size` stays 0, which means that `dims` are whole shapes: no batch dimension precedes them. A size that is
    not fixed is -1.
    """
    config.name, config.platform, config.backend = name, PLATFORM, PLATFORM
    config.model_transaction_policy.decoupled = signature.stream
    for spec in signature.inputs:
        config.input.add(name=spec.name, data_type=_data_type(spec), dims=_dims(spec), optional=spec.optional)
    for spec in signature.outputs:
        config.output.add(name=spec.name, data_type=_data_type(spec), dims=_dims(spec))


def _data_type(spec: TensorSpec) -> str:
    datatype = DATATYPES.get(spec.dtype, "BYTES")  # the same datatype as in ModelMetadata
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _dims(spec: TensorSpec) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in spec.shape or ()]
