"""Does a value fit a declared shape? Asked by the client before it sends and by the server of what comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.signature import TensorSpec


def misfit(spec: TensorSpec, shape: Sequence[int], sizes: dict[str, int]) -> str:
    """Why `shape` does not fit `spec`, or "" where it does.

    `sizes` holds what the named sizes were so far in this call and learns those that `shape` is first to tell.
    """
    if spec.shape is None:
        return ""
    declared = f"[{', '.join(map(str, spec.shape))}]"
    if len(shape) != len(spec.shape):
        return f"{spec.name} is declared {declared}, got an array of shape {list(shape)}"
    for size, expected in zip(shape, spec.shape, strict=True):
        if isinstance(expected, int):
            if size != expected:
                return f"{spec.name} is declared {declared}, got an array of shape {list(shape)}"
        elif sizes.setdefault(expected, size) != size:
            return f"{spec.name} is declared {declared}: its {expected} is {size}, elsewhere {sizes[expected]}"
    return ""
