"""What `model?` and Shift-Tab show: the real inputs with dtypes and shapes, and an example."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.signature import Signature, TensorSpec


def call_signature(signature: Signature) -> inspect.Signature:
    """The signature of a call: each input with its dtype and shape as annotation, then `timeout`."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    # Python wants what may be left out behind what may not.
    inputs = sorted(signature.inputs, key=lambda spec: spec.optional)
    parameters = [
        inspect.Parameter(
            spec.name, kind, default=None if spec.optional else inspect.Parameter.empty, annotation=_Shown(spec)
        )
        for spec in inputs
    ]
    timeout = inspect.Parameter("timeout", inspect.Parameter.KEYWORD_ONLY, default=None)
    returned = ", ".join(map(_shown, signature.outputs)) or inspect.Signature.empty
    return inspect.Signature([*parameters, timeout], return_annotation=returned)


class _Shown(str):
    """An annotation that prints without quotes."""

    __slots__ = ()

    def __new__(cls, spec: TensorSpec) -> Self:
        return super().__new__(cls, _shown(spec))

    def __repr__(self) -> str:
        return str(self)


def _shown(spec: TensorSpec) -> str:
    shape = "" if spec.shape is None else f"[{', '.join(map(str, spec.shape))}]"
    return f"{spec.dtype}{shape}"


def docstring(name: str, device: str, signature: Signature) -> str:
    """The text of `model?`."""
    example = ", ".join(_example(spec) for spec in signature.inputs if not spec.optional)
    outputs = ", ".join(spec.name for spec in signature.outputs)
    return "\n".join(
        [
            f"{name} on {device}.",
            "",
            "Inputs",
            *_lines(signature.inputs),
            "",
            "Outputs",
            *(_lines(signature.outputs) if outputs else ["    whatever the model returns"]),
            "",
            "Example",
            f"    {outputs + ' = ' if outputs else ''}model({example})",
        ]
    )


def _lines(specs: Iterable[TensorSpec]) -> list[str]:
    return [f"    {spec}" + (f"    {spec.description}" if spec.description else "") for spec in specs]


def _example(spec: TensorSpec) -> str:
    if spec.kind == "image":
        return '"photo.jpg"'
    return {"str": '"text"', "json": '{"key": "value"}', "bytes": 'b"..."'}.get(spec.dtype, spec.name)
