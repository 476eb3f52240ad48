"""Outputs out of a response, as values that belong to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from gpumodels.errors import CallError
from gpumodels.protocol import CONTENT_TYPE, TensorError, blank, decode, files, from_message, messages, raw_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


def read_message(kind: Any, body: bytes, model: str) -> Any:
    """A message of that kind; raises CallError where the body is none."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise CallError(f"the model server of {model} sent what cannot be read: {error}") from error


def read_answer(response: Any, view: Callable[[str, int, int], memoryview], model: str) -> dict[str, Any]:
    """The outputs by name, each in memory of its own; `view` gives the bytes of a region (name, offset, size).

    Raises CallError where the response is not sound.
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
        raise TensorError(f"{size!r} bytes at {offset!r} are no place in a region")
    name = str(facts[files.REGION])
    if offset < claimed.get(name, 0):  # many in one place would take memory that the server never had
        raise TensorError("two outputs lie in one place")
    claimed[name] = offset + size
    data = view(name, offset, size)
    array = blank(output.datatype, output.shape, size)
    raw_bytes(array)[:] = data
    return decode(output.datatype, output.shape, content_type, array)
