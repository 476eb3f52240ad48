"""Values as JSON: what a call gave, for programs that are not Python, and text that stands for what a call takes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.client.result import Result
from gpumodels.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gpumodels.signature import Signature, TensorSpec


def outputs_by_name(signature: Signature, answer: Any) -> dict[str, Any]:
    """The values of one answer by output name."""
    if isinstance(answer, Result):
        return {name: answer[name] for name in answer.keys()}  # noqa: SIM118  (iterating gives the values)
    names = [spec.name for spec in signature.outputs] or ["value"]
    return {names[0]: answer}


def to_json(value: Any, array: Callable[[NDArray[Any]], Any], raw: Callable[[bytes], Any]) -> Any:
    """What JSON can hold, arrays and bytes as `array` and `raw` make them. NaN and infinities are null."""
    match value:
        case np.ndarray():
            told = array(value)
        case bytes():
            told = raw(value)
        case float():
            told = value if math.isfinite(value) else None
        case dict():
            told = {str(key): to_json(each, array, raw) for key, each in value.items()}
        case list() | tuple():
            told = [to_json(each, array, raw) for each in value]
        case np.generic():
            told = to_json(value.item(), array, raw)
        case _:
            told = value
    return told


def to_lists(array: NDArray[Any]) -> Any:
    """An array as nested lists; NaN and infinities are null, and 0.1 of float32 is 0.1."""
    if array.dtype.name == "bfloat16":  # of the package ml_dtypes
        array = array.astype(np.float32)
    if array.dtype.kind != "f":
        return array.tolist()
    if array.dtype.itemsize < np.dtype(np.float64).itemsize:
        array = array.astype(str).astype(np.float64)
    if np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), np.array(None)).tolist()


def from_text(spec: TensorSpec, text: str) -> Any:
    """The value that a word or a field of a form stands for where `spec` is asked for; no file is read.

    Raises InputError where it is no number.
    """
    if spec.dtype == "str":
        return text
    if spec.dtype == "bytes":
        return text.encode()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if spec.dtype in {"any", "json"}:
            return text
        raise InputError(f"{spec} cannot be {text!r:.80}: give a number, a JSON list of them, or a file") from None
