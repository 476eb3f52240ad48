"""Models are found by name and by path. The error for an unknown model lists the known ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gpumodels.catalog import find, names
from gpumodels.errors import ModelFolderError, ModelNotFound, SettingsError

ROOT = Path(__file__).parents[3]


def test_built_in_models_are_found_by_name():
    assert find("ctpn").folder == ROOT / "images" / "ctpn"
    assert {"ctpn", "echo"} <= {name for name, _ in names()}


def test_every_built_in_model_folder_is_in_order():
    for place in (ROOT / "images").glob("*/model.toml"):
        assert find(tomllib.loads(place.read_text())["name"]).folder == place.parent


def test_models_in_the_users_folder_come_first(folder, home):
    folder('name = "echo"\nsummary = "mine"', "anything", home / "data" / "gpumodels" / "models")
    assert find("echo").summary == "mine"
    assert dict(names())["echo"] == "mine"


def test_the_users_folder_can_be_another(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_MODELS", str(tmp_path / "zoo"))
    place = folder(parent=tmp_path / "zoo")
    assert find("fish").folder == place


def test_models_of_other_packages_are_found_without_importing_them(folder, tmp_path, monkeypatch):
    site = tmp_path / "site"
    package = site / "aquarium"
    folder(name="fish", parent=package / "models")
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    info = site / "aquarium-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aquarium\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[gpumodels.models]\naquarium = aquarium.models\ngone = not_there.models\n")
    monkeypatch.syspath_prepend(str(site))
    assert find("fish").folder == package / "models" / "fish"


@pytest.mark.parametrize("ref", ["./fish", "../here/fish", "~/here/fish", "fish/", Path("fish")])
def test_a_path_is_found(folder, home, ref):
    place = folder(parent=home / "here")
    assert find(ref).folder == place


def test_the_working_directory_itself_can_be_a_model_folder(folder, home, monkeypatch):
    monkeypatch.chdir(folder(parent=home))
    assert find(".").name == "fish"


def test_the_error_for_an_unknown_name_lists_similar_and_known_names():
    with pytest.raises(ModelNotFound, match=r"no model is called 'CTPM'; did you mean ctpn\? Known are: ctpn, echo"):
        find("CTPM")


def test_the_error_for_an_unknown_name_that_is_a_folder_here_shows_its_path(folder, home):
    folder(parent=home / "here")
    with pytest.raises(ModelNotFound, match=r"write \./fish"):
        find("fish")


@pytest.mark.parametrize("ref", ["", "näme", "a" * 5000, "\0"])
def test_a_name_that_no_model_can_have_is_unknown(ref):
    with pytest.raises(ModelNotFound, match="no model is called"):
        find(ref)


@pytest.mark.parametrize("ref", ["./" + "a" * 5000, "./\0", "~nobody-of-that-name/x"])
def test_a_path_that_no_folder_can_have_is_not_found(ref):
    with pytest.raises(ModelNotFound, match="there is no folder"):
        find(ref)


def test_the_error_for_a_path_that_does_not_exist_shows_how_to_make_a_folder():
    with pytest.raises(
        ModelNotFound, match="there is no folder fish that can be read; `gpumodels new NAME` makes a model folder"
    ):
        find("./fish")


def test_a_folder_without_model_toml_is_no_model_folder(home):
    (home / "here" / "fish").mkdir()
    with pytest.raises(ModelNotFound, match=r"fish has no model\.toml, so it is no model folder"):
        find("./fish")


def test_the_path_of_a_file_is_refused(folder, home):
    place = folder(parent=home / "here")
    with pytest.raises(ModelNotFound, match="is a file, not a model folder"):
        find(place / "model.toml")


def test_a_broken_folder_breaks_no_listing_and_find_says_what_is_wrong(folder, home):
    models = home / "data" / "gpumodels" / "models"
    folder("name = ", "broken", models)
    folder('name = ["list"]\nsummary = 3', "odd", models)
    folder(parent=models)
    found = dict(names())
    assert found["broken"] == "(model.toml cannot be read)"
    assert {"odd", "fish", "ctpn"} <= found.keys()
    with pytest.raises(ModelFolderError, match="line 1: not valid TOML"):
        find("broken")
    with pytest.raises(ModelFolderError, match="name: must be text"):
        find("odd")


def test_importing_and_listing_import_no_slow_packages():
    dear = ("requests", "pypi_simple", "packaging", "numpy", "docker", "grpc", "IPython")
    code = f"import sys, gpumodels.catalog as c; c.names(); print([m for m in {dear} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_models_directory_of_an_unknown_user_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("GPUMODELS_MODELS", "~nosuch/models")
    with pytest.raises(SettingsError, match=r"GPUMODELS_MODELS must be an absolute path.*, not '~nosuch/models'"):
        names()


def test_a_user_without_a_home_has_the_built_in_models(monkeypatch):
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "getuid", lambda: 987654)
    assert find("echo").name == "echo"
