"""bfloat16, which numpy does not have, as its bit patterns in uint16."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_bits(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to the nearest bfloat16, ties to even. NaN stays NaN; too large numbers become infinite."""
    flat = np.asarray(array, np.float32, order="C").reshape(-1)  # numpy treats arrays without dimensions differently
    bits = flat.view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    rounded[np.isnan(flat)] = 0x7FC0
    return rounded.reshape(array.shape)


def from_bits(bits: NDArray[np.uint16]) -> NDArray[Any]:
    """Return the numbers with these bit patterns, as bfloat16 if ml_dtypes is installed, else widened to float32."""
    known = _known_to_numpy()
    if known is not None:
        return bits.view(known)
    wide = bits.astype(np.uint32).reshape(-1) << 16
    return wide.view(np.float32).reshape(bits.shape)


@functools.cache  # looking for a package that is not installed takes longer than a call
def _known_to_numpy() -> np.dtype[Any] | None:
    try:
        from ml_dtypes import bfloat16  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError:
        return None
    known: np.dtype[Any] = np.dtype(bfloat16)
    return known
