"""The help that `model?`, `%load_model?` and Shift-Tab show, and the display of results."""

from __future__ import annotations

import pytest

from tests.magics.conftest import started

TOML = """
name = "boxes"

[[inputs]]
name = "image"
dtype = "uint8"
shape = ["H", "W", 3]
kind = "image"
description = "A photo"

[[inputs]]
name = "limit"
dtype = "float64"
shape = []
optional = true

[[outputs]]
name = "boxes"
dtype = "float32"
shape = ["N", 4]
kind = "boxes"

[[outputs]]
name = "scores"
dtype = "float32"
shape = ["N"]
kind = "scores"
"""
MODEL = """
import numpy as np
class Model:
    def load(self, device): ...
    def predict(self, image, limit=0.0):
        return {"boxes": np.array([[2, 2, 20, 12]], np.float32), "scores": np.array([0.9], np.float32)}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    path = tmp_path_factory.mktemp("inspection")
    (path / "boxes").mkdir()
    (path / "boxes" / "model.toml").write_text(TOML)
    (path / "boxes" / "model.py").write_text(MODEL)
    with started(path, GPUMODELS_RUNTIME_DIR=str(path / "runtime")) as made:
        made.ok("%load_model ./boxes --engine fake --gpu none;")
        made.ok("import numpy as np\nimg = np.zeros((30, 40, 3), np.uint8)")
        yield made


def test_a_question_mark_shows_inputs_dtypes_shapes_and_an_example(kernel):
    shown = plain(kernel.inspect("model"))
    assert "image: uint8[H, W, 3], limit: float64 = None" in " ".join(shown.split())
    assert "-> boxes: float32[N, 4], scores: float32[N]" in " ".join(shown.split())
    assert "image  uint8[H, W, 3]  A photo (array, PIL image, path or encoded bytes)" in shown
    assert 'boxes, scores = model("photo.jpg")' in shown


def test_shift_tab_inside_a_call_shows_the_same(kernel):
    assert "uint8[H, W, 3]" in plain(kernel.inspect("model("))


def test_a_question_mark_after_a_magic_shows_its_arguments(kernel):
    shown = plain(kernel.inspect("%load_model"))
    assert "\nParameters\n----------\nNAME|PATH\n    a model of the catalog, or the path of a model folder\n" in shown
    assert "\n--engine ENGINE\n    docker, process or auto (default: auto)\n" in shown
    assert "\n--as VAR\n" in shown
    assert "{" not in shown.partition("Parameters")[2]


def test_a_result_draws_itself_as_the_last_line(kernel):
    ran = kernel.ok("r = model(img)\nr")
    assert ran.result == "Result(boxes: float32[1, 4], scores: float32[1])"
    assert "image/" in kernel.ok("sorted(r._repr_mimebundle_())").result


def test_show_draws_the_result(kernel):
    assert kernel.ok("model.show(img)").shown == ["Result(boxes: float32[1, 4], scores: float32[1])"]


def plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", text)
