"""Reading and writing JSON without blocking the event loop for long.

The C code of `json` holds the GIL while it runs. So the size of requests is limited, and large arrays are written in
pieces.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.client import to_json, to_lists
from gpumodels.jupyter.gateway.errors import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The most bytes of JSON in a request; reading them takes a tenth of a second.
LIMIT = 8 << 20
#: Elements of an array that are written at once.
_PIECE = 1 << 14


def read(text: bytes) -> Any:
    """Return the value of JSON. Raises Refused if it is too large or malformed."""
    if len(text) > LIMIT:
        raise Refused(
            413, f"{len(text)} bytes of JSON are too many (the limit is {LIMIT}): send large arrays as binary data"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from None


def array(values: NDArray[Any]) -> str:
    """Return the JSON of an array: nested lists as `client.to_lists` makes them, with bytes as from `to_base64`."""
    if values.ndim == 0 or values.size <= _PIECE:
        return json.dumps(
            to_json(to_lists(values), to_lists, to_base64) if values.dtype.kind == "O" else to_lists(values)
        )
    step = max(1, _PIECE * len(values) // values.size)
    if step == 1:
        return f"[{', '.join(map(array, values))}]"
    return f"[{', '.join(array(values[at : at + step])[1:-1] for at in range(0, len(values), step))}]"


def value(given: Any, *, described: bool = False) -> str:
    """Return the JSON of an output. With `described`, an array is an object with dtype, shape and data."""
    if not isinstance(given, np.ndarray):
        return json.dumps(to_json(given, to_lists, to_base64))
    if not described:
        return array(given)
    dtype = "str" if given.dtype.kind == "U" else given.dtype.name
    return f'{json.dumps({"dtype": dtype, "shape": given.shape})[:-1]}, "data": {array(given)}}}'


def to_base64(given: bytes) -> dict[str, str]:
    """Return the JSON object that stands for bytes."""
    return {"base64": base64.b64encode(given).decode()}


def from_base64(text: Any) -> bytes:
    """Return the bytes of a base64 text. Raises Refused if it is malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Refused(400, f"{text!r:.40} is not base64: {error}") from None
