"""Nearly correct requests: valid ones with random changes in their fields and in their bytes."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np

from gpumodels.protocol import files, messages
from gpumodels.protocol.tensors import CONTENT_TYPE, DATATYPES, encode
from tests.fuzz.target import REGION, REGION_SIZE, SPECS

_NUMBERS = [0, 1, 2, 3, 4, 7, 8, 31, 33, 127, 128, 255, 256, REGION_SIZE, 1 << 31, 1 << 32, 1 << 40, 1 << 62]
_INT64 = [*_NUMBERS, -1, -8, (1 << 63) - 1, -(1 << 63)]
_UINT32 = [*[number for number in _NUMBERS if number < 1 << 32], (1 << 32) - 1, (1 << 32) - 4]
_TEXTS = ["", "str", "json", "bytes", REGION, "/region", "../region", "x" * 5000, "FP128", *set(DATATYPES.values())]
_JSON = [
    b"[" * 100_000, b"[" * 900 + b"]" * 900, b"[[],[],[],[],[],[]]", b"{}" * 9, b'{"a":1,"a":2}', b"1" * 5000,
    b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff"', b"", b"\xef\xbb\xbf1", b"[" + b"[]," * 2000 + b"1]", b"1e9",
]  # fmt: skip
_VALUES: dict[str, list[Any]] = {
    "points": [np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), np.full((200, 2), np.nan, np.float32)],
    "labels": [["a", "bcd", ""], [], ["ü" * 50] * 3, ["x"] * 200 + ["y" * 5000]],
    "title": ["", "text", "x" * 1000],
    "count": [7],
    "blob": [b"", b"data\0", [b"a", b""], [[b"ab"] * 40] * 10],
    "facts": [{"a": [1, 2.5, None]}, [], "x", {str(n): [n] for n in range(50)}],
    "weights": [np.ones((2, 3), np.float32), np.float32(1.5)],
    "mask": [np.ones(3, bool), np.zeros(0, bool)],
    "value": [np.arange(6, dtype=dtype).reshape(2, 3) for dtype in ("i1", "u2", "i8", "f2", "f8", "u8")]
    + ["text", b"", 1],
}
_FIELDS = {
    "bool_contents": [True, False],
    "int_contents": [0, 1, -1, 127, 300, -(1 << 31)],
    "uint_contents": [0, 1, 255, 65536, (1 << 32) - 1],
    "int64_contents": [0, -(1 << 63)],
    "uint64_contents": [(1 << 64) - 1],
    "fp32_contents": [0.0, 1e30],
    "fp64_contents": [1e300],
    "bytes_contents": [b"", b"ab", b"\xff"],
}


class Mutator:
    """An endless iterator of requests, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __iter__(self) -> Mutator:
        return self

    def __next__(self) -> bytes:
        request = self._valid()
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 4))):
            self._random.choice(_CHANGES)(self, request)
        data = bytearray(request.SerializeToString(deterministic=True))
        for _ in range(self._random.choice((0, 0, 0, 0, 1, 3))):
            self._spoil(data)
        return bytes(data)

    def _valid(self) -> Any:
        pick = self._random
        request = messages.ModelInferRequest(model_name="m", id="1")
        for spec in pick.sample(SPECS, pick.choice((1, 1, 1, 2, 3))):
            tensor = encode(spec.name, pick.choice(_VALUES[spec.name]), spec.dtype)
            header = request.inputs.add(name=spec.name, datatype=tensor.datatype, shape=tensor.shape)
            if tensor.content_type:
                messages.set_parameters(header, **{CONTENT_TYPE: tensor.content_type})
            if tensor.datatype != "BYTES" and tensor.nbytes <= REGION_SIZE and pick.random() < 0.3:
                facts: dict[str, Any] = {files.REGION: REGION, files.BYTE_SIZE: tensor.nbytes, files.OFFSET: 0}
                messages.set_parameters(header, **facts)
            else:
                request.raw_input_contents.append(bytes(tensor.data))
        return request

    def _input(self, request: Any) -> Any:
        return self._random.choice(request.inputs) if request.inputs else request.inputs.add(name="value")

    def _shape(self, request: Any) -> None:
        shape = self._input(request).shape
        match self._random.randrange(5):
            case 0 if shape:
                shape[self._random.randrange(len(shape))] = self._random.choice(_INT64)
            case 1:
                shape.append(self._random.choice(_INT64))
            case 2:
                shape.extend([1] * self._random.choice((30, 31, 33, 70, 5000)))
            case 3:
                shape[:] = self._random.choices(_INT64, k=self._random.randrange(4))
            case 4 if shape:
                del shape[self._random.randrange(len(shape))]

    def _datatype(self, request: Any) -> None:
        self._input(request).datatype = self._random.choice(_TEXTS)

    def _name(self, request: Any) -> None:
        self._input(request).name = self._random.choice([*_TEXTS, *(spec.name for spec in SPECS)])

    def _parameter(self, request: Any) -> None:
        name = self._random.choice((files.REGION, files.BYTE_SIZE, files.OFFSET, CONTENT_TYPE))
        parameter = self._input(request).parameters[name]
        field = self._random.choice(("int64_param", "int64_param", "string_param", "bool_param", "double_param"))
        values = {"int64_param": _INT64, "string_param": _TEXTS, "bool_param": [True], "double_param": [0.5, 1e300]}
        setattr(parameter, field, self._random.choice(values[field]))

    def _raw(self, request: Any) -> None:
        raw = request.raw_input_contents
        if not raw:
            raw.append(b"")
        place = self._random.randrange(len(raw))
        data = bytearray(raw[place])
        match self._random.randrange(6):
            case 0:
                del data[self._random.randrange(len(data) + 1) :]
            case 1:
                data += self._random.randbytes(self._random.randrange(9))
            case 2 if len(data) >= 4:
                struct.pack_into("<I", data, self._random.randrange(len(data) - 3), self._random.choice(_UINT32))
            case 3:
                text = self._random.choice(_JSON)
                data = bytearray(struct.pack("<I", len(text)) + text)
            case 4:
                data = bytearray(4 * self._random.choice((1, 3, 1000)))
            case _:
                self._spoil(data)
        raw[place] = bytes(data)

    def _typed(self, request: Any) -> None:
        del request.raw_input_contents[:]
        contents = self._input(request).contents
        field = self._random.choice(list(_FIELDS))
        getattr(contents, field).extend(
            self._random.choices(_FIELDS[field], k=self._random.choice((0, 1, 2, 3, 6, 500)))
        )

    def _twice(self, request: Any) -> None:
        request.inputs.add().CopyFrom(self._input(request))

    def _without(self, request: Any) -> None:
        field = self._random.choice((request.inputs, request.raw_input_contents))
        if field:
            del field[self._random.randrange(len(field))]

    def _merged(self, request: Any) -> None:
        request.MergeFrom(self._valid())

    def _spoil(self, data: bytearray) -> None:
        at = self._random.randrange(len(data) + 1)
        match self._random.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << self._random.randrange(8)
            case 1:
                data[at:at] = self._random.randbytes(self._random.randrange(1, 9))
            case 2:
                del data[at : at + self._random.randrange(1, 9)]
            case 3:
                data[at:at] = data[self._random.randrange(len(data) + 1) :][:40]
            case 4 if at < len(data):
                data[at] = self._random.choice((0, 1, 0x7F, 0x80, 0xFF))


_CHANGES = (
    Mutator._shape, Mutator._shape, Mutator._datatype, Mutator._name, Mutator._parameter, Mutator._parameter,
    Mutator._raw, Mutator._raw, Mutator._typed, Mutator._typed, Mutator._twice, Mutator._without, Mutator._merged,
)  # fmt: skip
