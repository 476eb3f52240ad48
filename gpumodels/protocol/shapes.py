"""The check of shapes: the client checks inputs before it sends them, the server checks inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.protocol.headers import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.signature import TensorSpec


def misfit(spec: TensorSpec, shape: Sequence[int], sizes: dict[str, int]) -> str:
    """Return the reason why `shape` does not fit `spec`, or "" if it does.

    `sizes` holds the values that names in declared shapes have in this call, such as {"H": 480}. Values of names that
    are new are added from `shape`.
    """
    declared = spec.shape
    if declared is None:
        return ""
    if len(shape) != len(declared):
        return _unlike(spec, shape)
    for size, expected in zip(shape, declared, strict=True):
        if isinstance(expected, str):
            if sizes.setdefault(expected, size) != size:
                return f"{spec.name} is declared {_listed(spec)}: its {expected} is {size}, elsewhere {sizes[expected]}"
        elif size != expected:
            return _unlike(spec, shape)
    return ""


def _unlike(spec: TensorSpec, shape: Sequence[int]) -> str:
    return f"{spec.name} is declared {_listed(spec)}, got an array of shape {shown(shape)}"


def _listed(spec: TensorSpec) -> str:
    return f"[{', '.join(map(str, spec.shape or ()))}]"
