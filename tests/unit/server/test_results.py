from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from gpumodels.server.calls import CallFailed
from gpumodels.server.results import to_tensors
from gpumodels.signature import TensorSpec

BOXES = (TensorSpec("boxes", "float32", ("N", 8)), TensorSpec("scores", "float32", ("N",)))
SCORES = (TensorSpec("scores", "float32", ("N",)),)
JSON = (TensorSpec("facts", "json"),)
ANY = (TensorSpec("value", "any"),)
A, B = np.zeros((2, 8), np.float32), np.zeros(2, np.float32)


class Pair(NamedTuple):
    boxes: object
    scores: object


@dataclass
class Data:
    boxes: object
    scores: object


def heads(value, outputs):
    return [f"{t.name} {t.datatype}{list(t.shape)}{t.content_type}" for t in to_tensors(value, outputs, {})]


@pytest.mark.parametrize("value", [(A, B), [A, B], {"scores": B, "boxes": A}, Pair(A, B), Data(A, B)], ids=type)
def test_several_outputs_are_accepted_in_every_form(value):
    assert heads(value, BOXES) == ["boxes FP32[2, 8]", "scores FP32[2]"]


@pytest.mark.parametrize(
    ("value", "outputs", "expected"),
    [
        (B, SCORES, ["scores FP32[2]"]),
        ({"scores": B}, SCORES, ["scores FP32[2]"]),
        ([0.5, 0.25], SCORES, ["scores FP32[2]"]),
        (B.astype(float), SCORES, ["scores FP32[2]"]),
        ({"facts": 1}, JSON, ["facts BYTES[1]json"]),
        ((1, "a"), JSON, ["facts BYTES[1]json"]),
        (B, ANY, ["value FP32[2]"]),
        ("text", ANY, ["value BYTES[]str"]),
        (b"data", ANY, ["value BYTES[]"]),
        (np.float32(1), ANY, ["value FP32[]"]),
        ([1, 2], ANY, ["value BYTES[1]json"]),
        (None, (), ["output BYTES[1]json"]),
        (1.5, (), ["output BYTES[1]json"]),
        (B, (), ["output FP32[2]"]),
        ({"a": 1}, (), ["output BYTES[1]json"]),
        ({"a": B, "n": 1}, (), ["a FP32[2]", "n BYTES[1]json"]),
        ((A, B), (), ["output_0 FP32[2, 8]", "output_1 FP32[2]"]),
        ((1, 2), (), ["output BYTES[1]json"]),
    ],
)
def test_values_that_predict_may_return(value, outputs, expected):
    assert heads(value, outputs) == expected


@pytest.mark.parametrize(
    ("value", "outputs", "match"),
    [
        ((A, B, B), BOXES, "returned 3 values, but the outputs declared are boxes, scores"),
        (A, BOXES, "returned ndarray, but the outputs declared are boxes, scores"),
        (None, BOXES, "returned NoneType"),
        ({"boxes": A}, BOXES, "returned boxes, but"),
        ((A, B[:1]), BOXES, "its N is 1, elsewhere 2"),
        ((A[:, :4], B), BOXES, r"boxes is declared \[N, 8\]"),
        (np.array(["a"]), SCORES, "declared float32"),
        (None, SCORES, "declared float32"),
        ("text", SCORES, "declared float32"),
        (object(), JSON, "JSON"),
        (object(), (), "JSON"),
        (np.array([1j]), ANY, "complex128, which cannot be sent"),
        (np.array([object()]), ANY, "object, which cannot be sent"),
        (5, (TensorSpec("text", "str"),), "it is not text"),
    ],
)
def test_a_value_that_does_not_fit_its_declaration_fails_the_call(value, outputs, match):
    with pytest.raises(CallFailed, match=match):
        to_tensors(value, outputs, {})


def test_outputs_must_have_the_named_sizes_of_the_inputs():
    with pytest.raises(CallFailed, match="its N is 2, elsewhere 3"):
        to_tensors(B, SCORES, {"N": 3})
