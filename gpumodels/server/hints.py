"""The signature of a model from the type hints of `predict`, for a `model.toml` that declares none.

- `np.ndarray` is an array of any dtype, `NDArray[np.uint8]` an array of that dtype.
- int, float, bool, str and bytes are single values.
- list, dict and similar types are JSON.
- An input without a hint takes any value. A default value or `| None` makes an input optional.
- A NamedTuple, TypedDict or dataclass as the return hint gives several named outputs; tuple[...] gives numbered ones.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpumodels.signature import DTYPES, RESERVED_INPUTS, TensorSpec

_SCALARS: dict[Any, str] = {int: "int64", float: "float64", bool: "bool", str: "str", bytes: "bytes"}
_ABSTRACT = (Any, np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger, np.inexact, np.floating)
_ITERATORS = (Iterator, Iterable, Generator)
_JSON = (list, dict, tuple, Sequence, Mapping)


class HintError(TypeError):
    """An error raised for a type hint of `predict` if values of that type cannot be sent."""


def infer_inputs(predict: Callable[..., Any]) -> tuple[TensorSpec, ...]:
    """Return the inputs of `predict`, a bound method. Raises HintError, which names the parameter."""
    hints = typing.get_type_hints(predict)
    return tuple(_input(parameter, hints) for parameter in inspect.signature(predict).parameters.values())


def infer_outputs(predict: Callable[..., Any]) -> tuple[TensorSpec, ...]:
    """Return the outputs of `predict`, or () if its return hint does not define them. Raises HintError."""
    hint = typing.get_type_hints(predict).get("return", Any)
    if typing.get_origin(hint) in _ITERATORS:  # `predict` yields: each value is an answer
        hint = typing.get_args(hint)[0]
    return _outputs(hint)


def _input(parameter: inspect.Parameter, hints: dict[str, Any]) -> TensorSpec:
    if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD and (
        parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ):
        raise HintError(f"predict takes {parameter}: give every input a name, or declare them in model.toml")
    if parameter.name in RESERVED_INPUTS:
        raise HintError(f"predict takes {parameter.name!r}, which the call itself takes: use another name")
    hint, nullable = _without_none(hints.get(parameter.name, Any))
    optional = nullable or parameter.default is not inspect.Parameter.empty
    return _spec(parameter.name, hint, optional=optional)


def _outputs(hint: Any) -> tuple[TensorSpec, ...]:
    if hint in {Any, type(None), np.ndarray} or hint in _JSON:
        return ()
    if typing.get_origin(hint) is tuple:
        hints: dict[str, Any] = {f"output_{index}": item for index, item in enumerate(typing.get_args(hint))}
        return () if Ellipsis in hints.values() else _specs(hints)
    if isinstance(hint, type) and (
        typing.is_typeddict(hint) or dataclasses.is_dataclass(hint) or hasattr(hint, "_fields")
    ):
        return _specs(typing.get_type_hints(hint))
    return (_spec("output", hint),)


def _specs(hints: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, hint) for name, hint in hints.items())


def _spec(name: str, hint: Any, *, optional: bool = False) -> TensorSpec:
    origin = typing.get_origin(hint) or hint
    if hint is Any:
        return TensorSpec(name, "any", optional=optional)
    if hint in _SCALARS:
        return TensorSpec(name, _SCALARS[hint], (), optional=optional)
    if origin is np.ndarray:
        return TensorSpec(name, _element(name, hint), optional=optional)
    if origin in _JSON or typing.is_typeddict(hint):
        return TensorSpec(name, "json", optional=optional)
    raise HintError(
        f"predict's hint for {name!r} is {hint!r}, which cannot be sent: use np.ndarray, NDArray[np.float32] and its "
        f"like, int, float, bool, str, bytes, list or dict, or declare {name!r} in model.toml"
    )


def _element(name: str, hint: Any) -> str:
    """Return the dtype of an array's hint: "uint8" for `NDArray[np.uint8]`, "any" for `np.ndarray`."""
    arguments = typing.get_args(hint)  # NDArray[np.uint8] is ndarray[..., dtype[uint8]]
    scalar = typing.get_args(arguments[1])[0] if arguments else Any
    if scalar in _ABSTRACT or not isinstance(scalar, type):
        return "any"
    dtype = "str" if scalar is np.str_ else np.dtype(scalar).name
    if dtype not in DTYPES:
        raise HintError(f"predict's hint for {name!r} has elements of type {scalar.__name__}, which cannot be sent")
    return dtype


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        rest = [item for item in typing.get_args(hint) if item is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False
