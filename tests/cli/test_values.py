"""Words of the command line as inputs of a model, and its outputs as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gpumodels.cli.calling import as_json, read
from gpumodels.errors import InputError
from gpumodels.signature import TensorSpec


def spec(dtype, kind="", shape=None):
    return TensorSpec("x", dtype, shape, kind)


@pytest.mark.parametrize(
    ("wanted", "word", "value"),
    [
        (spec("str"), "12", "12"),
        (spec("float32"), "1e3", 1000.0),
        (spec("float64", shape=(3,)), "[1, 2, 3.5]", [1, 2, 3.5]),
        (spec("bool"), "true", True),
        (spec("json"), '{"a": 1}', {"a": 1}),
        (spec("json"), "plain text", "plain text"),
        (spec("any"), "plain text", "plain text"),
        (spec("any"), "[1", "[1"),
        (spec("bytes"), "raw", b"raw"),
        (spec("uint8", "image"), "photo.png", "photo.png"),
    ],
)
def test_a_word_is_read_as_the_type_of_the_input(wanted, word, value):
    assert read(wanted, word) == value


def test_files_are_read_where_arrays_or_bytes_are_asked_for(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    np.testing.assert_array_equal(read(spec("int64"), str(tmp_path / "x.npy")), [0, 1, 2])
    np.testing.assert_array_equal(read(spec("any"), str(tmp_path / "x.npy")), [0, 1, 2])
    assert read(spec("bytes"), str(tmp_path / "x.bin")) == b"\x00\x01"
    assert read(spec("any"), str(tmp_path / "x.bin")) == str(tmp_path / "x.bin")


@pytest.mark.parametrize("word", ["one", "", "[1, 2", "\0"])
def test_a_word_that_is_no_number_is_refused(word):
    with pytest.raises(InputError, match=r"^x: float32 cannot be .*: give a number, a JSON list of them, or a file"):
        read(spec("float32"), word)


def test_a_file_of_pickled_objects_is_not_run(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be loaded when allow_pickle=False"):
        read(spec("any"), str(tmp_path / "x.npy"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32([0.1, np.nan, np.inf]), "[0.1, null, null]"),
        (np.float16(0.5), "0.5"),
        (np.array([[True]]), "[[true]]"),
        (np.zeros((2, 0)), "[[], []]"),
        (b"abc", '{"dtype": "bytes", "size": 3}'),
        ({"a": (1, np.int64(2))}, '{"a": [1, 2]}'),
        (float("nan"), "null"),
        ("é", '"\\u00e9"'),
    ],
)
def test_values_are_json_that_every_program_reads(value, text):
    assert as_json({"y": value}, {}, indented=False) == text


def test_a_long_array_is_summed_up_and_boxes_never_are():
    long = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    summary = json.loads(as_json({"y": long}, {}, indented=False))
    assert summary == {"dtype": "float32", "shape": [1000, 4], "min": 0.0, "max": 3999.0, "mean": 1999.5}
    assert len(json.loads(as_json({"y": long}, {"y": "boxes"}, indented=False))) == 1000


def test_several_outputs_are_on_lines_of_their_own_and_on_one_in_a_stream():
    values = {"boxes": np.zeros((1, 4)), "scores": np.ones(1)}
    assert as_json(values, {}, indented=True) == '{\n "boxes": [[0.0, 0.0, 0.0, 0.0]],\n "scores": [1.0]\n}'
    assert as_json(values, {}, indented=False).count("\n") == 0
