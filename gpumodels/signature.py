"""Signatures: the inputs and outputs of a model, declared in `model.toml` or inferred from type hints.

Many packages use this module: the catalog checks signatures, the model server publishes them, the client converts
values by them. So it imports only the standard library, like `errors`.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Names of dtypes: numpy's, and "str", "bytes", "json" and "any". For "any" the value itself decides.
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "str", "bytes", "json", "any",
)  # fmt: skip

#: Meanings of a value. They decide how an input is converted and how an output is drawn. "" is none.
KINDS = ("", "image", "boxes", "scores")

#: Names of parameters of every call. No input may have such a name.
RESERVED_INPUTS = ("timeout", "self")


class SignatureError(ValueError):
    """The error for a mistake in the declaration of an input or output. `field` is its place: "inputs[0].dtype"."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    `shape` holds sizes (3) and names of free sizes ("N"). It is None if any shape is allowed, and for JSON.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None = None
    kind: str = ""
    optional: bool = False
    description: str = ""

    def __str__(self) -> str:
        shape = "" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name}: {self.dtype}{shape}{'?' if self.optional else ''}"

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> TensorSpec:
        """Return the input or output in a table `[[inputs]]` or `[[outputs]]`. Raises SignatureError with the field."""
        known = ("name", "dtype", "shape", "kind", "optional", "description")
        for key in table:
            if key not in known:
                raise SignatureError(key, f"unknown field; known are {', '.join(known)}")
        name = table.get("name")
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise SignatureError("name", f"must be a Python identifier, not {name!r}")
        dtype = table.get("dtype")
        if dtype not in DTYPES:
            raise SignatureError("dtype", f"must be one of {', '.join(DTYPES)}, not {dtype!r}")
        kind = table.get("kind", "")
        if kind not in KINDS:
            raise SignatureError("kind", f"must be one of {', '.join(k for k in KINDS if k)}, not {kind!r}")
        optional, description = table.get("optional", False), table.get("description", "")
        if not isinstance(optional, bool):
            raise SignatureError("optional", f"must be true or false, not {optional!r}")
        if not isinstance(description, str):
            raise SignatureError("description", f"must be text, not {description!r}")
        return cls(name, str(dtype), _shape(table.get("shape")), str(kind), optional, description)


def _shape(value: object) -> tuple[int | str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise SignatureError("shape", f'must be a list such as ["H", "W", 3], not {value!r}')
    for size in value:
        named = isinstance(size, str) and size.isidentifier()
        fixed = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not (named or fixed):
            raise SignatureError("shape", f'each entry must be a size or a name such as "H", not {size!r}')
    return tuple(value)


@dataclass(frozen=True)
class Signature:
    """The declared inputs and outputs, in order. `outputs` is empty if they are known only from the answers of calls.

    With `stream`, a call gives several answers, one after another.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    stream: bool = False

    @classmethod
    def from_tables(cls, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]) -> Signature:
        """Return the signature in the `[[inputs]]` and `[[outputs]]` of a `model.toml`.

        Raises SignatureError. The message begins with the field, such as "inputs[0].dtype".
        """
        return cls(tuple(_read("inputs", inputs)), tuple(_read("outputs", outputs)))

    def __str__(self) -> str:
        outputs = f"({', '.join(map(str, self.outputs))})"
        return f"({', '.join(map(str, self.inputs))}) -> {'stream of ' if self.stream else ''}{outputs}"


def _read(side: str, tables: Iterable[Mapping[str, Any]]) -> Iterator[TensorSpec]:
    seen: set[str] = set()
    for index, table in enumerate(tables):
        try:
            spec = TensorSpec.from_table(table)
        except SignatureError as error:
            raise SignatureError(f"{side}[{index}].{error.field}", error.reason) from None
        if spec.name in seen:
            raise SignatureError(f"{side}[{index}].name", f"{spec.name!r} is declared twice")
        if side == "inputs" and spec.name in RESERVED_INPUTS:
            raise SignatureError(f"{side}[{index}].name", f"{spec.name!r} is taken by the call itself")
        seen.add(spec.name)
        yield spec
