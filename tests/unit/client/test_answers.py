"""Answers are read or refused: headers are compared with the bytes that came before memory is allocated."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpumodels.client.answers import read_answer
from gpumodels.errors import CallError
from gpumodels.protocol import files, messages
from gpumodels.protocol.region import RegionError
from gpumodels.protocol.tensors import DATATYPES, encode

REGION = np.arange(4096, dtype=np.uint8)


def view(name, offset, size):
    """Return bytes of the only region that the server has."""
    if name != "region" or not 0 <= offset <= offset + size <= REGION.size:
        raise RegionError(f"{size} bytes at {offset} lie outside")
    return REGION.data[offset : offset + size]


def answer(*outputs, raw=()):
    """Return a response with outputs (datatype, shape, parameters)."""
    response = messages.ModelInferResponse(model_name="m", raw_output_contents=raw)
    for number, (datatype, shape, facts) in enumerate(outputs):
        output = response.outputs.add(name=f"output_{number}", datatype=datatype, shape=shape)
        messages.set_parameters(output, **facts)
    return response


def in_region(size, offset=0, name="region"):
    return {files.REGION: name, files.BYTE_SIZE: size, files.OFFSET: offset}


@pytest.mark.parametrize(
    "response",
    [
        answer(("FP32", [1 << 40], in_region(4096))),
        answer(("FP32", [1 << 40], in_region(1 << 42))),
        answer(("FP32", [1 << 62, 1 << 62], in_region(0))),
        answer(("FP64", [0, 1 << 62], in_region(0))),
        answer(("FP32", [-1, -1], in_region(4))),
        answer(("UINT8", [1] * 33, in_region(1))),
        answer(("BYTES", [1 << 40], in_region(4096))),
        answer(("UINT8", [4], in_region(4, -4))),
        answer(("UINT8", [4], in_region(4, 4094))),
        answer(("UINT8", [4], in_region(4, name="another"))),
        answer(("UINT8", [4], in_region("4"))),
        answer(*[("UINT8", [4096], in_region(4096))] * 1000),
        answer(("FP32", [1 << 40], {}), raw=[b"1234"]),
        answer(("FP32", [1 << 40], {})),
        answer(("FP32", [1], {}), raw=[b"1234", b"5678"]),
        answer(("BYTES", [1], {"content_type": "json"}), raw=[b"\xff\xff\xff\x7f[]"]),
        answer(("FP128", [1], {}), raw=[b"0" * 16]),
    ],
    ids=lambda response: str(response)[:60].replace("\n", " "),
)
def test_an_answer_that_does_not_match_its_headers_is_refused_before_memory_is_allocated(response):
    tracemalloc.start()
    try:
        with pytest.raises(CallError, match=r"^the answer of m cannot be read: ") as caught:
            read_answer(response, view, "m")
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1000


NUMBERS = st.integers(-2, 5) | st.sampled_from([33, 4096, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63)])


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([*set(DATATYPES.values()), "FP8"]),
    st.lists(NUMBERS, max_size=3),
    st.sampled_from(["", "str", "json"]),
    st.none() | st.tuples(NUMBERS, NUMBERS),
    st.binary(max_size=40),
)
def test_any_answer_is_read_or_refused(datatype, shape, content_type, where, raw):
    facts = {} if where is None else in_region(*where)
    with contextlib.suppress(CallError):
        read_answer(answer((datatype, shape, {**facts, "content_type": content_type}), raw=[raw]), view, "m")


def test_values_in_regions_are_copied_out_of_them():
    response = answer(("UINT8", [2, 2], in_region(4, 64)), ("UINT8", [3], in_region(3, 128)))
    values = read_answer(response, view, "m")
    assert {name: value.tolist() for name, value in values.items()} == {
        "output_0": [[64, 65], [66, 67]],
        "output_1": [128, 129, 130],
    }
    assert all(value.flags.owndata and value.flags.writeable for value in values.values())


def test_values_in_typed_contents_are_read_as_those_in_raw_bytes():
    response = answer(("INT16", [2], {}))
    response.outputs[0].contents.int_contents.extend([1, -2])
    (typed,) = read_answer(response, view, "m").values()
    (raw,) = read_answer(answer(("INT16", [2], {}), raw=[bytes(encode("", typed, "any").data)]), view, "m").values()
    assert typed.dtype == raw.dtype == np.int16
    assert typed.tolist() == raw.tolist() == [1, -2]
