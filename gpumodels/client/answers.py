"""Reading of a model server's responses. The outputs become values in the caller's own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from gpumodels.errors import CallError
from gpumodels.protocol import CONTENT_TYPE, TensorError, blank, decode, files, from_message, messages, raw_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


def read_message(kind: Any, body: bytes, model: str) -> Any:
    """Parse `body` as a protobuf message of the class `kind`. Raises CallError if that fails."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise CallError(f"the model server of {model} sent data that cannot be read: {error}") from error


def read_answer(response: Any, view: Callable[[str, int, int], memoryview], model: str) -> dict[str, Any]:
    """Return the outputs of a response by name. Each output is a copy, so that it belongs to the caller.

    `view(name, offset, size)` returns that part of the shared memory region `name`. Raises CallError if the response
    cannot be read.
    """
    claimed: dict[str, int] = {}
    raw: list[bytes | None] = list(response.raw_output_contents) or [None] * len(response.outputs)
    try:
        return {
            output.name: _value(output, content, view, claimed)
            for output, content in zip(response.outputs, raw, strict=True)
        }
    except ValueError as error:
        raise CallError(f"the answer of {model} cannot be read: {error}") from error
    except MemoryError:
        raise CallError(f"the answer of {model} does not fit into the memory of this process") from None


def _value(
    output: Any, content: bytes | None, view: Callable[[str, int, int], memoryview], claimed: dict[str, int]
) -> Any:
    facts = messages.parameters(output)
    content_type = str(facts.get(CONTENT_TYPE, ""))
    if files.REGION not in facts:
        return decode(output.datatype, output.shape, content_type, from_message(output, content))
    size, offset = facts.get(files.BYTE_SIZE, 0), facts.get(files.OFFSET, 0)
    if not isinstance(size, int) or not isinstance(offset, int):
        raise TensorError(f"{size!r} bytes at offset {offset!r} are not a range in a region")
    name = str(facts[files.REGION])
    if offset < claimed.get(name, 0):  # copies of overlapping outputs could take more memory than the server ever had
        raise TensorError("two outputs overlap in their region")
    claimed[name] = offset + size
    data = view(name, offset, size)
    array = blank(output.datatype, output.shape, size)
    raw_bytes(array)[:] = data
    return decode(output.datatype, output.shape, content_type, array)
