"""`gpumodels new` makes a folder that runs as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from gpumodels import catalog, cli
from gpumodels.catalog import find, new
from gpumodels.errors import ModelFolderError


def test_a_new_folder_is_a_model_that_draws_edges(tmp_path):
    folder = new("my-fish", tmp_path)
    spec = find(folder)
    assert spec.name == "my-fish"
    assert "my-model" not in "".join(path.read_text() for path in folder.iterdir())
    module = importlib.util.spec_from_file_location("template_model", folder / "model.py")
    code = importlib.util.module_from_spec(module)
    module.loader.exec_module(code)
    model = code.Model()
    model.load("cpu")
    image = np.zeros((6, 8, 3), np.uint8)
    image[:, 4:] = 255
    edges = model.predict(image=image)
    assert (edges.dtype, edges.shape) == (np.uint8, (6, 8))
    assert (edges[:, 3] == 255).all()
    assert not edges[:, [0, 1, 2, 4, 5, 6, 7]].any()
    assert model.predict(image[:1, :1]).shape == (1, 1)


def test_the_template_itself_is_a_model_folder():
    assert find(Path(catalog.__file__).parent / "template").name == "my-model"


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "fish").mkdir()
    with pytest.raises(ModelFolderError, match="fish exists already"):
        new("fish", tmp_path)
    assert not list((tmp_path / "fish").iterdir())


@pytest.mark.parametrize("name", ["", "Fish", "a b", "../fish", ".fish", "a/b", "fish\n"])
def test_a_name_that_no_model_can_have_is_refused(tmp_path, name):
    with pytest.raises(ModelFolderError, match="cannot be the name of a model; a name is made of lower-case"):
        new(name, tmp_path)
    assert not (tmp_path / name.strip()).exists() or not name.strip()


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"cannot make .*/no/fish: No such file or directory"):
        new("fish", tmp_path / "no")


def test_the_command_prints_the_next_step(capsys, tmp_path):
    assert cli.main(["new", "fish"]) == 0
    assert "%load_model ./fish\n" in capsys.readouterr().out
    assert find("./fish").name == "fish"
    assert cli.main(["new", "fish", "--dir", str(tmp_path)]) == 0
    assert f"%load_model {tmp_path}/fish\n" in capsys.readouterr().out


def test_a_mistake_is_one_line_and_status_1(capsys):
    assert cli.main(["new", "Fish"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gpumodels: 'Fish' cannot be the name of a model")
    assert captured.err.count("\n") == 1


def test_the_models_command_lists_names_and_summaries(capsys, folder, home):
    folder('name = "fish"\nsummary = "Counts fish"', parent=home / "data" / "gpumodels" / "models")
    assert cli.main(["models"]) == 0
    assert "fish  Counts fish\n" in capsys.readouterr().out
