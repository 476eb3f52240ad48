"""A ModelInferResponse out of the outputs: inside the message, in a file of its own, or in regions of the client's."""

from __future__ import annotations

from typing import Any

from gpumodels.protocol import files, messages
from gpumodels.protocol.tensors import CONTENT_TYPE, Tensor
from gpumodels.server.calls import CallFailed
from gpumodels.server.memory import RegionError, SharedMemory

_MESSAGE_LIMIT = (1 << 31) - (1 << 20)  # protobuf ends at 2 GiB


class ReplyTooLarge(CallFailed):
    """The outputs fit neither into shared memory nor into a message."""


class Reply:
    """How one request wants its outputs, and the file that was made for them."""

    def __init__(self, request: Any, memory: SharedMemory) -> None:
        self._request = request
        self._memory = memory
        self._file = ""

    def write(self, tensors: list[Tensor]) -> Any:
        """Build the response; raises CallFailed where the request cannot have the outputs so."""
        response = messages.ModelInferResponse(model_name=self._request.model_name, id=self._request.id)
        wanted = {output.name: messages.parameters(output) for output in self._request.outputs}
        unknown = wanted.keys() - {tensor.name for tensor in tensors}
        if unknown:
            raise CallFailed(f"the model gives no output {', '.join(sorted(unknown))}")
        chosen = [tensor for tensor in tensors if not wanted or tensor.name in wanted]
        for tensor in chosen:
            output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if tensor.content_type:
                messages.set_parameters(output, **{CONTENT_TYPE: tensor.content_type})
        if any(files.REGION in facts for facts in wanted.values()):
            self._into_regions(response, chosen, wanted)
        elif not self._into_file(response, chosen):
            _inline(response, chosen)
        return response

    def discard(self) -> None:
        """Remove what was made for a client that does not read it."""
        if self._file:
            self._memory.discard(self._file)

    def _into_file(self, response: Any, tensors: list[Tensor]) -> bool:
        asked = messages.parameters(self._request).get(files.RESULTS) == files.IN_FILES
        if not asked or sum(tensor.nbytes for tensor in tensors) <= files.INLINE_LIMIT:
            return False
        name = self._request.id if files.is_ours(self._request.id, "out") else files.new_name("out")
        try:
            places = self._memory.write_result(name, tensors)
        except OSError:  # no room: the message takes it
            return False
        self._file = name
        for output, tensor, place in zip(response.outputs, tensors, places, strict=True):
            _point(output, self._file, tensor.nbytes, place)
            response.raw_output_contents.append(b"")
        return True

    def _into_regions(self, response: Any, tensors: list[Tensor], wanted: dict[str, dict[str, Any]]) -> None:
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
                self._memory.view(name, offset, tensor.nbytes)[:] = tensor.data
            except RegionError as error:
                raise CallFailed(str(error)) from error
            _point(output, name, tensor.nbytes, offset)
            response.raw_output_contents.append(b"")


def _inline(response: Any, tensors: list[Tensor]) -> None:
    size = sum(tensor.nbytes for tensor in tensors)
    if size > _MESSAGE_LIMIT:
        raise ReplyTooLarge(
            f"the result is {size / 2**30:.1f} GiB, /dev/shm has no room for it and a message holds 2 GiB at most: "
            "make room in /dev/shm, or ask for less at once"
        )
    response.raw_output_contents.extend(bytes(tensor.data) for tensor in tensors)


def _point(output: Any, region: str, size: int, offset: int) -> None:
    facts: dict[str, str | int] = {files.REGION: region, files.BYTE_SIZE: size, files.OFFSET: offset}
    messages.set_parameters(output, **facts)
