"""JSON of any size in pieces: the C code that reads and writes it lets no other thread run, nor the event loop."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.client import to_json, to_lists
from gpumodels.jupyter.gateway.refused import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes of JSON that are read at once, which takes a tenth of a second.
LIMIT = 8 << 20
#: Elements of an array that are written at once.
_PIECE = 1 << 14


def read(text: bytes) -> Any:
    """The value of JSON; raises Refused."""
    if len(text) > LIMIT:
        raise Refused(
            413, f"{len(text)} bytes of JSON are too many ({LIMIT} at most): send large arrays as binary data"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from None


def array(values: NDArray[Any]) -> str:
    """The text of an array as nested lists, as `client.plain` has them; bytes in it as `value` writes them."""
    if values.ndim == 0 or values.size <= _PIECE:
        return json.dumps(to_json(to_lists(values), to_lists, raw) if values.dtype.kind == "O" else to_lists(values))
    step = max(1, _PIECE * len(values) // values.size)
    if step == 1:
        return f"[{', '.join(map(array, values))}]"
    return f"[{', '.join(array(values[at : at + step])[1:-1] for at in range(0, len(values), step))}]"


def value(given: Any, *, described: bool = False) -> str:
    """The text of what a model gave; `described`: of an array with its dtype and shape."""
    if not isinstance(given, np.ndarray):
        return json.dumps(to_json(given, to_lists, raw))
    if not described:
        return array(given)
    dtype = "str" if given.dtype.kind == "U" else given.dtype.name
    return f'{json.dumps({"dtype": dtype, "shape": given.shape})[:-1]}, "data": {array(given)}}}'


def raw(given: bytes) -> dict[str, str]:
    """Bytes, which JSON does not have."""
    return {"base64": base64.b64encode(given).decode()}


def unraw(text: Any) -> bytes:
    """The bytes that base64 stands for; raises Refused."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Refused(400, f"{text!r:.40} is not base64: {error}") from None
