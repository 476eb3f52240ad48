"""The command `prune`: it removes unused files of models, unless a model is being loaded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

import gpumodels
from gpumodels.catalog import using_cache
from tests.cli.test_output import in_terminal
from tests.leftovers import until

KINDS = ("environments", "weights")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache directory of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gpumodels"


@pytest.fixture
def environment(cache):
    """An environment of 1 MB, with the files that the process engine makes."""
    path = cache / "environments" / "0123456789abcdef"
    (path / "lib/python3.11/site-packages/onnx-1.2.dist-info").mkdir(parents=True)
    (path / "bin").mkdir()
    (path / "bin" / "python").symlink_to(sys.executable)
    (path / "lib" / "data").write_bytes(os.urandom(1_000_000))
    path.with_suffix(".lock").touch()
    return path


@pytest.fixture
def folder(tmp_path):
    """A model folder with 2 MB of weights."""
    path = tmp_path / "heavy"
    path.mkdir()
    weights = os.urandom(2_000_000)
    (path / "w.bin").write_bytes(weights)
    (path / "model.py").write_text(
        "class Model:\n    def load(self, device: str) -> None: pass\n    def predict(self, x: int) -> int: return x\n"
    )
    (path / "model.toml").write_text(
        f'name = "heavy"\n[[weights]]\nfile = "net/w.bin"\nsource = "w.bin"\n'
        f'sha256 = "{hashlib.sha256(weights).hexdigest()}"\n'
    )
    return path


def test_unused_files_are_shown_with_their_size_and_removed(cli, cache, environment):
    said = cli("prune", *KINDS, "--dry-run").ok()
    assert said.splitlines()[1].split("  ")[:2] == ["environment", "0123456789abcdef (onnx)"]
    assert said.splitlines()[1].endswith("1 MB")
    assert environment.is_dir()
    assert cli("prune", *KINDS, "--yes").ok().splitlines()[-1] == "removed 1, 1 MB freed"
    assert list((cache / "environments").iterdir()) == []
    assert cli("prune", *KINDS).ok() == "nothing to remove\n"


def test_weights_and_the_model_server_stay_while_a_model_uses_them(cli, cache, folder):
    with gpumodels.load(folder, gpu="none", engine="fake") as model:
        said = cli("prune", *KINDS, "--yes").ok()
        (weights,) = [line for line in said.splitlines() if line.startswith("weights")]
        assert weights.split() == ["weights", "w.bin", "2", "MB", "stays:", model.record.id]
        assert said.splitlines()[-1] == "nothing to remove"
        assert model(3) == 3
    assert cli("prune", *KINDS, "--yes").ok().splitlines()[-1].startswith("removed 2, ")
    left = {path.relative_to(cache).parts[0] for path in cache.rglob("*") if path.is_file() and path.name != ".use"}
    assert left == {"guards"}  # the guard of this process still runs
    with gpumodels.load(folder, gpu="none", engine="fake") as model:  # the weights are fetched again
        assert model(4) == 4


def test_an_environment_stays_while_anything_runs_in_it(cli, environment):
    with subprocess.Popen([environment / "bin" / "python", "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert f"stays: process {process.pid}" in cli("prune", "environments", "--yes").ok()
        assert environment.is_dir()
        process.communicate(b"\n")
    cli("prune", "environments", "--yes").ok()
    assert not environment.exists()


def test_half_made_files_are_removed(cli, cache, environment):
    (cache / "environments" / f"{environment.name}.making-x1").mkdir()
    (cache / "server" / "tmpabc").mkdir(parents=True)
    (cache / "weights" / "files" / ("a" * 64)).mkdir(parents=True)
    (cache / "weights" / "files" / ("a" * 64) / "part").write_bytes(b"half")
    said = cli("prune", *KINDS, "--yes").ok()
    assert said.count("half-made") == 2
    assert said.splitlines()[-1].startswith("removed 4, ")
    assert list((cache / "environments").iterdir()) == []
    assert list((cache / "server").iterdir()) == []
    assert list((cache / "weights" / "files").iterdir()) == []


def test_a_kind_is_left_alone_unless_it_was_named(cli, environment):
    assert cli("prune", "weights", "--yes").ok() == "nothing to remove\n"
    assert environment.is_dir()


def test_other_files_in_the_cache_stay(cli, cache):
    (cache / "benchmarks").mkdir(parents=True)
    (cache / "benchmarks" / "x").touch()
    assert cli("prune", *KINDS, "--yes").ok() == "nothing to remove\n"
    assert (cache / "benchmarks" / "x").exists()


def test_without_a_terminal_prune_needs_yes(cli, environment):
    ran = cli("prune", *KINDS)
    assert ran.status == 2
    assert "there is no terminal to ask for confirmation: give --yes" in ran.err
    assert environment.is_dir()


def test_prune_asks_first(environment):
    printed, status = in_terminal("prune", *KINDS, answer="n\n")
    assert (status, "Remove 1 of these? [y/N]" in printed) == (0, True)
    assert environment.is_dir()
    printed, status = in_terminal("prune", *KINDS, answer="y\n")
    assert status == 0
    assert printed.splitlines()[-1].endswith("removed 1, 1 MB freed")
    assert not environment.exists()


def test_nothing_is_removed_while_a_model_is_being_loaded(cli, environment):
    with using_cache():
        assert (
            cli("prune", *KINDS, "--yes").refused()
            == "A model is being loaded just now. Wait until it is ready, then prune."
        )
    assert environment.is_dir()


def test_an_empty_cache_has_nothing_to_remove(cli, cache):
    assert cli("prune", *KINDS).ok() == "nothing to remove\n"
    until(cache.is_dir)


def test_a_cache_that_cannot_be_made_is_reported(cli, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be used: Not a directory" in cli("prune", env={"XDG_CACHE_HOME": str(tmp_path / "file")}).refused()


def test_without_docker_images_are_not_looked_at_and_the_rest_is(cli, environment):
    ran = cli("prune", "--yes", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "removed 1, 1 MB freed")
    assert ran.err.startswith("gpumodels: Images were not looked at. Docker does not answer at unix:///nowhere.sock")
