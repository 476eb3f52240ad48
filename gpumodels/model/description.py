"""The docstring and the signature of a handle, for `model?` and Shift-Tab: inputs with dtypes and shapes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.signature import Signature, TensorSpec

_EXAMPLES = {"image": '"photo.jpg"', "str": '"text"', "json": '{"key": "value"}', "bytes": 'b"..."'}


def call_signature(signature: Signature) -> inspect.Signature:
    """Return the signature of a call: each input, annotated with its dtype and shape, then `timeout`."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    # Python requires parameters with a default behind those without one.
    inputs = sorted(signature.inputs, key=lambda spec: spec.optional)
    parameters = [
        inspect.Parameter(
            spec.name,
            kind,
            default=None if spec.optional else inspect.Parameter.empty,
            annotation=_Unquoted(_type(spec)),
        )
        for spec in inputs
    ]
    timeout = inspect.Parameter("timeout", inspect.Parameter.KEYWORD_ONLY, default=None)
    named = len(signature.outputs) > 1
    outputs = [f"{each.name}: {_type(each)}" if named else _type(each) for each in signature.outputs]
    returned = _Unquoted(", ".join(outputs)) if outputs else inspect.Signature.empty
    return inspect.Signature([*parameters, timeout], return_annotation=returned)


class _Unquoted(str):
    """An annotation that prints without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def docstring(name: str, device: str, signature: Signature) -> str:
    """Return the text that `model?` shows."""
    needed = ", ".join(_example(spec) for spec in signature.inputs if not spec.optional)
    outputs = ", ".join(spec.name for spec in signature.outputs)
    return "\n".join(
        [
            f"{name} on {device}.",
            "",
            "Inputs",
            *_table(signature.inputs, inputs=True),
            "",
            "Outputs",
            *(_table(signature.outputs, inputs=False) or ["    whatever the model returns"]),
            "",
            "Example",
            f"    {outputs + ' = ' if outputs else ''}model({needed})",
        ]
    )


def _table(specs: Iterable[TensorSpec], *, inputs: bool) -> list[str]:
    rows = [(spec.name, _type(spec), _meaning(spec) if inputs else spec.description) for spec in specs]
    if not rows:
        return []
    first, second = max(len(name) for name, _, _ in rows), max(len(kind) for _, kind, _ in rows)
    return [f"    {name:{first}}  {kind:{second}}  {meaning}".rstrip() for name, kind, meaning in rows]


def _type(spec: TensorSpec) -> str:
    """Return dtype and shape, such as "float32[N, 4]", or only the dtype of a scalar."""
    return f"{spec.dtype}[{', '.join(map(str, spec.shape))}]" if spec.shape else spec.dtype


def _meaning(spec: TensorSpec) -> str:
    accepted = "array, PIL image, path or encoded bytes" if spec.kind == "image" else ""
    optional = "optional" if spec.optional else ""
    notes = "; ".join(filter(None, [accepted, optional]))
    return f"{spec.description} ({notes})".strip() if notes else spec.description


def _example(spec: TensorSpec) -> str:
    return _EXAMPLES.get(spec.kind) or _EXAMPLES.get(spec.dtype) or spec.name
