from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

from gpumodels.server.hints import HintError, infer_inputs, infer_outputs


class Boxes(NamedTuple):
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class Answer(TypedDict):
    text: str
    score: float


@dataclass
class Picture:
    pixels: NDArray[np.uint8]
    facts: dict[str, Any]


def everything(
    image: NDArray[np.uint8],
    anything,
    array: np.ndarray,
    floats: NDArray[np.floating],
    words: NDArray[np.str_],
    count: int,
    share: float,
    flag: bool,
    text: str,
    data: bytes,
    items: list[int],
    facts: dict[str, Any],
    maybe: str | None,
    other: Optional[int] = None,  # noqa: UP045 (an author may write it so)
    threshold: float = 0.5,
) -> Any: ...


def test_hints_of_inputs():
    assert " ".join(map(str, infer_inputs(everything))) == (
        "image: uint8 anything: any array: any floats: any words: str count: int64[] share: float64[] flag: bool[] "
        "text: str[] data: bytes[] items: json facts: json maybe: str[]? other: int64[]? threshold: float64[]?"
    )


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Boxes, "boxes: float32 scores: float32"),
        (Answer, "text: str[] score: float64[]"),
        (Picture, "pixels: uint8 facts: json"),
        (tuple[np.ndarray, int], "output_0: any output_1: int64[]"),
        (NDArray[np.float32], "output: float32"),
        (str, "output: str[]"),
        (dict[str, int], "output: json"),
        (tuple[int, ...], ""),
        (dict, ""),
        (np.ndarray, ""),
        (Any, ""),
        (None, ""),
    ],
)
def test_hints_of_outputs(hint, expected):
    def predict():
        raise NotImplementedError

    predict.__annotations__["return"] = hint
    assert " ".join(map(str, infer_outputs(predict))) == expected


@pytest.mark.parametrize("hint", [object, set[int], NDArray[np.complex64], complex, NDArray[np.datetime64]], ids=str)
def test_a_hint_that_cannot_be_sent_names_the_parameter(hint):
    def predict(x): ...

    predict.__annotations__["x"] = hint
    with pytest.raises(HintError, match="'x'"):
        infer_inputs(predict)


def test_nameless_and_reserved_parameters_are_refused():
    with pytest.raises(HintError, match="give every input a name"):
        infer_inputs(lambda *args: args)
    with pytest.raises(HintError, match="give every input a name"):
        infer_inputs(lambda **named: named)
    with pytest.raises(HintError, match="'timeout'"):
        infer_inputs(lambda timeout: timeout)
