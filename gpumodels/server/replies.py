"""Responses to calls. Outputs go into the ModelInferResponse, or into shared memory that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.protocol import MESSAGE_LIMIT, RegionError, add_header, files, messages, point
from gpumodels.server.results import CallFailed

if TYPE_CHECKING:
    from gpumodels.protocol import Tensor
    from gpumodels.server.requests import Memory

MODEL_VERSION = "1"  # the protocol numbers the versions of a model; a server has only this one


def respond(request: Any, tensors: list[Tensor], memory: Memory) -> Any:
    """Return the ModelInferResponse. Each output is in the region that the request names for it, or in the message.

    Raises CallFailed if an output does not fit into its region or into the message.
    """
    response, chosen = begin(request, tensors)
    wanted = {output.name: messages.parameters(output) for output in request.outputs}
    if any(files.REGION in facts for facts in wanted.values()):
        _into_regions(response, chosen, wanted, memory)
    else:
        put_inside(response, chosen)
    return response


def begin(request: Any, tensors: list[Tensor]) -> tuple[Any, list[Tensor]]:
    """Return a response with the headers of the requested outputs, and these outputs.

    If the request asks for no outputs by name, they are all outputs. Raises CallFailed if a requested output does not
    exist.
    """
    response = messages.ModelInferResponse(model_name=request.model_name, model_version=MODEL_VERSION, id=request.id)
    if request.outputs:
        wanted = {output.name for output in request.outputs}
        unknown = wanted - {tensor.name for tensor in tensors}
        if unknown:
            raise CallFailed(f"the model gives no output {', '.join(sorted(unknown))}", code="INVALID_ARGUMENT")
        tensors = [tensor for tensor in tensors if tensor.name in wanted]
    for tensor in tensors:
        add_header(response.outputs, tensor)
    return response, tensors


def put_inside(response: Any, tensors: list[Tensor]) -> None:
    """Put the outputs into the message as raw bytes. Raises CallFailed if they are larger than a message may be."""
    size = sum(tensor.nbytes for tensor in tensors)
    if size > MESSAGE_LIMIT:
        raise CallFailed(
            f"the result is {size / 2**30:.1f} GiB, there is no shared memory for it and a message holds 2 GiB at "
            "most: ask for less at once",
            code="RESOURCE_EXHAUSTED",
        )
    response.raw_output_contents.extend(bytes(tensor.data) for tensor in tensors)


def _into_regions(response: Any, tensors: list[Tensor], wanted: dict[str, dict[str, Any]], memory: Memory) -> None:
    for output, tensor in zip(response.outputs, tensors, strict=True):
        facts = wanted[tensor.name]
        if files.REGION not in facts:
            response.raw_output_contents.append(bytes(tensor.data))
            continue
        name, room = str(facts[files.REGION]), int(facts.get(files.BYTE_SIZE, 0))
        offset = int(facts.get(files.OFFSET, 0))
        if tensor.nbytes > room:
            raise CallFailed(f"output {tensor.name} is {tensor.nbytes} bytes, its region was given {room}")
        try:
            memory.view(name, offset, tensor.nbytes)[:] = tensor.data
        except RegionError as error:
            raise CallFailed(str(error), code="INVALID_ARGUMENT") from error
        point(output, name, tensor.nbytes, offset)
        response.raw_output_contents.append(b"")
