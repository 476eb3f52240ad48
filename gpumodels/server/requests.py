"""Inputs of `predict` from a ModelInferRequest. They lie in shared memory or in the message."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpumodels.protocol import CONTENT_TYPE, DATATYPES, TensorError, decode, files, from_message, messages, misfit, view

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gpumodels.signature import TensorSpec


class Memory(Protocol):
    """The regions that a client registered."""

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Return bytes of the region of that name. Raises RegionError if there are no such bytes."""


class RequestError(ValueError):
    """An error raised for a request that does not fit the signature of the model or the protocol."""


def read_inputs(request: Any, specs: tuple[TensorSpec, ...], memory: Memory, sizes: dict[str, int]) -> dict[str, Any]:
    """Return the keyword arguments of `predict`.

    Arrays are writable. Those in shared memory are not copied. An input of the declared shape [] is a Python value.

    Parameters
    ----------
    request
        A ModelInferRequest.
    specs : tuple of TensorSpec
        The declared inputs.
    memory : Memory
        The shared memory regions of the client.
    sizes : dict of str to int
        The values of the names in declared shapes, such as "H". The function adds those of this call.

    Raises
    ------
    RequestError
        If the request does not fit the declaration.
    RegionError
        If it refers to a region that is not registered.

    """
    declared = {spec.name: spec for spec in specs}
    raw = iter(request.raw_input_contents)
    inputs: dict[str, Any] = {}
    for tensor in request.inputs:
        spec = declared.get(tensor.name)
        if spec is None or tensor.name in inputs:
            known = ", ".join(declared) or "none"
            raise RequestError(f"input {reprlib.repr(tensor.name)} is unknown or came twice; the inputs are {known}")
        inputs[tensor.name] = _read(tensor, spec, raw, memory, sizes)
    missing = [spec.name for spec in specs if not spec.optional and spec.name not in inputs]
    if missing:
        raise RequestError(f"these inputs are missing: {', '.join(missing)}")
    return inputs


def _read(tensor: Any, spec: TensorSpec, raw: Iterator[bytes], memory: Memory, sizes: dict[str, int]) -> Any:
    expected = DATATYPES.get(spec.dtype, tensor.datatype)
    if tensor.datatype != expected:
        raise RequestError(f"{spec.name} is {spec.dtype}, which is {expected} on the wire, not {tensor.datatype[:20]}")
    problem = "" if spec.dtype == "json" else misfit(spec, tensor.shape, sizes)
    if problem:
        raise RequestError(problem)
    facts = messages.parameters(tensor)
    sent = str(facts.get(CONTENT_TYPE, ""))
    content_type = {"bytes": "", "str": "str", "json": "json"}.get(spec.dtype, sent)
    try:
        value = decode(tensor.datatype, tensor.shape, content_type, _array(tensor, facts, raw, memory))
    except TensorError as error:
        raise RequestError(f"{spec.name}: {error}") from None
    return value.item() if spec.shape == () and isinstance(value, np.ndarray) else value


def _array(tensor: Any, facts: dict[str, Any], raw: Iterator[bytes], memory: Memory) -> NDArray[Any]:
    if files.REGION in facts:
        size, offset = _number(facts, files.BYTE_SIZE), _number(facts, files.OFFSET)
        return view(tensor.datatype, tensor.shape, memory.view(str(facts[files.REGION]), offset, size))
    return from_message(tensor, next(raw, None))


def _number(facts: dict[str, Any], key: str) -> int:
    value = facts.get(key, 0)
    if not isinstance(value, int):
        raise RequestError(f"{key} must be a whole number, not {reprlib.repr(value)}")
    return value
