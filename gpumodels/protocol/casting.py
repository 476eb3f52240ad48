"""Conversion of numbers to another dtype, refused if it would change whole numbers or make numbers infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.protocol import bfloat16
from gpumodels.protocol.arrays import unsendable
from gpumodels.protocol.headers import TensorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDEST_FLOAT = 8  # bytes


def cast(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return the array as `dtype`, without a copy if it has that dtype already. bfloat16 is returned as bits in uint16.

    A conversion to whole numbers must be exact. A conversion to floating point may round, but finite numbers must stay
    finite. Raises TensorError otherwise, and for arrays of objects, text, complex numbers or dates.
    """
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        if dtype == "bfloat16":
            return array.view(np.uint16)
        array = array.astype(np.float32)
    target = np.dtype("float32" if dtype == "bfloat16" else dtype)
    if array.size == 0 and array.dtype.kind == "O":  # an empty column of pandas
        array = np.empty(array.shape, target)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > _WIDEST_FLOAT:
        raise TensorError(unsendable(array, "numbers"))
    converted = array if array.dtype == target else _converted(array, target)
    return _narrowed(converted) if dtype == "bfloat16" else converted


def _converted(array: NDArray[Any], target: np.dtype[Any]) -> NDArray[Any]:
    if np.can_cast(array.dtype, target, "safe"):
        return array.astype(target)
    with np.errstate(all="ignore"):
        converted = array.astype(target)
        lost = ~np.isfinite(converted) if target.kind == "f" else converted != array
    if lost.any():
        _refuse(lost & np.isfinite(array) if target.kind == "f" else lost, array, target.name)
    return converted


def _narrowed(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = bfloat16.to_bits(array)
    _refuse(np.isfinite(array) & ((bits & 0x7FFF) == 0x7F80), array, "bfloat16")  # noqa: PLR2004 (the bits of infinity)
    return bits


def _refuse(lost: NDArray[np.bool_], array: NDArray[Any], dtype: str) -> None:
    if lost.any():
        index = np.unravel_index(int(np.argmax(lost)), array.shape)
        at = f" at [{', '.join(map(str, index))}]" if index else ""
        raise TensorError(f"{dtype} does not hold {array[index]}{at}: scale, round or convert it first")
