"""Outputs from the value that `predict` returned. A value that does not fit the declaration raises CallFailed."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from gpumodels.protocol import DATATYPES, Tensor, TensorError, any_dtype, encode, misfit
from gpumodels.signature import TensorSpec


class CallFailed(Exception):
    """The error that the client of a call receives.

    `code` is the name of a gRPC status code, `remote_traceback` the traceback of the author's code. Lone surrogates in
    both, as in the name of a file that is not UTF-8, are replaced by their escapes, because protobuf refuses them.
    """

    def __init__(self, message: str, remote_traceback: str = "", code: str = "INTERNAL") -> None:
        super().__init__(_valid(message))
        self.remote_traceback = _valid(remote_traceback)
        self.code = code


def _valid(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def to_tensors(value: Any, outputs: tuple[TensorSpec, ...], sizes: dict[str, int]) -> list[Tensor]:
    """Encode the value that `predict` returned.

    Parameters
    ----------
    value
        The value.
    outputs : tuple of TensorSpec
        The declared outputs.
    sizes : dict of str to int
        The values that the names in declared shapes, such as "H", have in the inputs of this call. The outputs must
        have the same values.

    Raises
    ------
    CallFailed
        If the value does not fit. The message names the declared and the returned type or shape.

    """
    if inspect.isgenerator(value):
        raise CallFailed("predict returned a generator: to give several answers, let predict itself yield them")
    named = _by_name(value, outputs)
    specs = {spec.name: spec for spec in outputs}
    return [_encode(specs.get(name, TensorSpec(name, "any")), item, sizes) for name, item in named.items()]


def _by_name(value: Any, outputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    fields = _fields(value)
    if len(outputs) == 1:
        (spec,) = outputs
        single = fields is not None and list(fields) == [spec.name] and spec.dtype != "json"
        return fields if single and fields is not None else {spec.name: value}
    if not outputs:
        return _undeclared(value, fields)
    names = [spec.name for spec in outputs]
    if fields is None and isinstance(value, (tuple, list)) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    if fields is None or set(fields) != set(names):
        got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        got = got if fields is None else ", ".join(fields)
        raise CallFailed(f"predict returned {got}, but the outputs declared are {', '.join(names)}")
    return {name: fields[name] for name in names}


def _undeclared(value: Any, fields: dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(value, tuple) and fields is None:
        fields = {f"output_{index}": item for index, item in enumerate(value)}
    # A dict or tuple with an array is several outputs; without any array it is one JSON value.
    if fields is not None and any(any_dtype(item) not in {"json", "str", "bytes"} for item in fields.values()):
        return fields
    return {"output": value}


def _fields(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value if all(isinstance(name, str) for name in value) else None
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _encode(spec: TensorSpec, value: Any, sizes: dict[str, int]) -> Tensor:
    dtype = any_dtype(value) if spec.dtype == "any" else spec.dtype
    if dtype not in DATATYPES:
        raise CallFailed(f"predict returned {spec.name} as {dtype}, which cannot be sent")
    try:
        tensor = encode(spec.name, value, dtype)
    except TensorError as error:
        raise CallFailed(f"predict returned {spec.name}, declared {dtype}, but {error}") from error
    problem = "" if dtype == "json" else misfit(spec, tensor.shape, sizes)
    if problem:
        raise CallFailed(f"predict returned what does not fit its declaration: {problem}")
    return tensor
