"""The server's decoder, from the bytes of a request to the arguments of `predict`, with checks of every outcome.

It may raise only documented errors, and may allocate only a small multiple of the bytes of the request. Memory is
counted by tracemalloc: that of Python and numpy, not protobuf's own.
"""

from __future__ import annotations

import reprlib
import tempfile
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from google.protobuf.message import DecodeError

from gpumodels.protocol import bfloat16, files, messages
from gpumodels.protocol.region import RegionError
from gpumodels.server.memory import SharedMemory
from gpumodels.server.requests import RequestError, read_inputs
from gpumodels.signature import TensorSpec

SPECS = (
    TensorSpec("points", "float32", ("N", 2), optional=True),
    TensorSpec("labels", "str", ("N",), optional=True),
    TensorSpec("title", "str", (), optional=True),
    TensorSpec("count", "uint8", (), optional=True),
    TensorSpec("blob", "bytes", None, optional=True),
    TensorSpec("facts", "json", optional=True),
    TensorSpec("weights", "bfloat16", None, optional=True),
    TensorSpec("mask", "bool", ("N",), optional=True),
    TensorSpec("value", "any", None, optional=True),
)

REGION, REGION_SIZE = "region", 4096

#: A request may take so many times its bytes, and so many bytes in addition. JSON needs most: a list of `[[],[],...]`
#: is three bytes of JSON and 90 bytes of memory.
TIMES, ROOM = 40, 128 << 10

_REFUSALS = (DecodeError, RequestError, RegionError)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input. `refusal` is the name of the error, "" if it was accepted.

    `peak` and `room` are the bytes that were allocated and the bytes that were allowed.
    """

    refusal: str
    peak: int
    room: int


class Decoder:
    """A server's decoder with one shared memory region. Use it as a context manager, which frees the region."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gpumodels-test-")
        path = Path(self._directory.name)
        (path / REGION).write_bytes(np.random.default_rng(0).integers(0, 4, REGION_SIZE, np.uint8).tobytes())
        self._memory = SharedMemory(str(path))
        self._memory.register(REGION, REGION, 0, REGION_SIZE)

    def __enter__(self) -> Self:
        bfloat16.from_bits(np.zeros(1, np.uint16))  # the first use may import a package
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        tracemalloc.stop()
        self._memory.unregister("")
        self._directory.cleanup()

    def run(self, data: bytes) -> Outcome:
        """Decode one request. Raises errors that are not documented, and AssertionError for a wrong result."""
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        room, refusal, message = ROOM + TIMES * len(data), "", ""
        try:
            request = messages.ModelInferRequest.FromString(data)
            room += (
                TIMES * REGION_SIZE * min(len(SPECS), sum(files.REGION in each.parameters for each in request.inputs))
            )
            inputs = read_inputs(request, SPECS, self._memory, {})
        except _REFUSALS as error:
            refusal, message = type(error).__name__, str(error)
        else:
            for spec in SPECS:
                assert spec.name not in inputs or _sound(inputs[spec.name], spec), (
                    f"{spec} became {reprlib.repr(inputs[spec.name])}"
                )
        assert len(message) <= 1000, "the error message quotes the request"
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before <= room, f"{peak - before} bytes were allocated for a request of {len(data)}"
        return Outcome(refusal, peak - before, room)


def _sound(value: object, spec: TensorSpec) -> bool:
    if spec.dtype in {"any", "json"}:
        return True
    if spec.dtype in {"str", "bytes"}:
        kind = str if spec.dtype == "str" else bytes
        return all(isinstance(item, kind) for item in (value.ravel() if isinstance(value, np.ndarray) else [value]))
    if spec.shape == ():
        return isinstance(value, int) and 0 <= value <= 255
    assert isinstance(value, np.ndarray)
    declared = value.shape if spec.shape is None else spec.shape
    fits = all(isinstance(size, str) or size == given for size, given in zip(declared, value.shape, strict=True))
    return fits and value.dtype.name in {spec.dtype, "float32"} and value.flags.aligned and value.flags.writeable
