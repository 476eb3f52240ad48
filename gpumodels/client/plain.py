"""JSON and text: the results of calls as JSON for programs that are not Python, and text as an input of a call."""

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
    """Return the values of one answer of `Client.call` by output name. An undeclared single output is "value"."""
    if isinstance(answer, Result):
        return {name: answer[name] for name in answer.keys()}  # noqa: SIM118  (iterating gives the values)
    names = [spec.name for spec in signature.outputs] or ["value"]
    return {names[0]: answer}


def to_json(value: Any, array: Callable[[NDArray[Any]], Any], raw: Callable[[bytes], Any]) -> Any:
    """Return `value` as a value that JSON can hold. `array` and `raw` are the functions that convert arrays and bytes.

    NaN and infinite floats become None, and keys of dicts become text.
    """
    match value:
        case np.ndarray():
            found = array(value)
        case bytes():
            found = raw(value)
        case float():
            found = value if math.isfinite(value) else None
        case dict():
            found = {str(key): to_json(each, array, raw) for key, each in value.items()}
        case list() | tuple():
            found = [to_json(each, array, raw) for each in value]
        case np.generic():
            found = to_json(value.item(), array, raw)
        case _:
            found = value
    return found


def to_lists(array: NDArray[Any]) -> Any:
    """Return an array as nested lists. NaN and infinities become None. A float32 0.1 becomes 0.1, not 0.10000000149."""
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
    """Return `text`, a word of a command or a field of a form, as a value for the input `spec`.

    A text that is a path is not opened. Raises InputError if the input needs numbers and the text is not JSON.
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
