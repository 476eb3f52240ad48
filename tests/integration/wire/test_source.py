"""The author's folder, edited and served again: the server runs the code as it is in the folder now."""

from __future__ import annotations

import os
import py_compile

import pytest

from gpumodels.errors import ModelCallError
from tests.integration.wire.conftest import Served

MODEL = """
import colorsys
from parts import deep
class Model:
    def load(self, device): pass
    def predict(self, fail: bool = False) -> str:
        if fail: deep.fail()
        return f"{colorsys.WHOSE} model 1, {deep.WHOSE} deep 1"
"""
DEEP = """
WHOSE = "my"
def fail():
    raise ValueError("deep trouble")  # this line
"""


@pytest.fixture
def folder(tmp_path):
    """A model that imports a package in its folder, and a module with the name of one of Python's own."""
    folder = tmp_path / "mine"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "colorsys.py").write_text("WHOSE = 'my'\n")
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "deep.py").write_text(DEEP)
    for path in folder.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture
def answer(tmp_path, folder):
    """A function `answer(**inputs)` that serves the folder again and calls the model."""
    served = []

    def call(**inputs: object) -> object:
        # PYTHONDONTWRITEBYTECODE of the tests must not hide a compiled file that the server would write.
        served.append(Served(tmp_path / f"run{len(served)}", folder, {"PYTHONDONTWRITEBYTECODE": ""}))
        return served[-1].client().call((), inputs)

    yield call
    for one in served:
        one.end()


def edit(folder):
    """Change a "1" to a "2" without a change of the size, and with a time in the same second."""
    for path in (folder / "model.py", folder / "parts" / "deep.py"):
        path.write_text(path.read_text().replace("1", "2").replace('"my"', '"MY"'))
        os.utime(path, (1e9, 1e9))


def test_an_edit_within_the_second_runs_and_nothing_is_written_into_the_folder(folder, answer):
    assert answer() == "my model 1, my deep 1"
    assert not list(folder.rglob("__pycache__"))
    edit(folder)
    assert answer() == "my model 2, MY deep 2"


def test_compiled_files_that_others_left_in_the_folder_are_not_read(folder, answer):
    for path in list(folder.rglob("*.py")):
        py_compile.compile(str(path), doraise=True)
    edit(folder)
    assert answer() == "my model 2, MY deep 2"


def test_it_holds_also_where_the_folder_is_the_working_directory(folder, answer, monkeypatch):
    monkeypatch.chdir(folder)
    assert answer() == "my model 1, my deep 1"
    assert not list(folder.rglob("__pycache__"))


def test_a_traceback_shows_the_lines_of_modules_below_the_folder(answer):
    with pytest.raises(ModelCallError, match="deep trouble") as caught:
        answer(fail=True)
    assert 'raise ValueError("deep trouble")  # this line' in caught.value.remote_traceback
    assert "importlib" not in caught.value.remote_traceback


def test_an_environment_in_the_folder_keeps_its_compiled_files(folder, answer):
    packages = folder / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed.py").write_text("")
    source = f"import sys; sys.path.append({str(packages)!r})\nimport installed\n{MODEL}"
    (folder / "model.py").write_text(source)
    assert answer() == "my model 1, my deep 1"
    assert list(packages.glob("__pycache__/installed.*"))
