"""What `pip install` gets: a wheel that is made from the source archive without Node, holds everything, and works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _build(target: str, source: Path, into: Path, path: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    env = {**os.environ, "PATH": path}
    built = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(into.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # jlpm, should the sidebar be unbuilt
    archive = _build("sdist", ROOT, tmp_path_factory.mktemp("sdist"), tools)
    source = tmp_path_factory.mktemp("source")
    with tarfile.open(archive) as opened:
        opened.extractall(source, filter="data")
    return _build("wheel", next(source.iterdir()), tmp_path_factory.mktemp("wheel"), "")


@pytest.mark.parametrize(
    "part",
    [
        "gpumodels/_version.py",
        "gpumodels/images/ctpn/model.toml",
        "gpumodels/images/echo/model.py",
        "gpumodels/jupyter/openapi.json",
        "gpumodels/widgets/front/views.js",
        "gpumodels/widgets/front/style.css",
        "share/jupyter/labextensions/gpumodels/package.json",
        "share/jupyter/labextensions/gpumodels/install.json",
        "share/jupyter/labextensions/gpumodels/schemas/gpumodels/plugin.json",
        "share/jupyter/labextensions/gpumodels/static/style.js",
        "etc/jupyter/jupyter_server_config.d/gpumodels.json",
    ],
)
def test_the_wheel_holds(part, wheel):
    assert any(name.endswith(part) for name in zipfile.ZipFile(wheel).namelist())


def test_the_wheel_is_small_and_holds_nothing_of_the_workshop(wheel):
    assert wheel.stat().st_size < 5_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name or name.startswith("tests/")]


@pytest.fixture(scope="module")
def jupyter(wheel, tmp_path_factory):
    """`jupyter("lab", "--version")` of an environment into which the wheel was installed, where there is no Node."""
    place = tmp_path_factory.mktemp("installed")
    venv, home = place / "venv", place / "home"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    home.mkdir()
    lock = ROOT / "requirements.lock"  # the versions that are tested, and found in uv's cache
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--python", venv / "bin" / "python"]
    subprocess.run([*uv, "--constraint", lock, wheel, "notebook"], check=True)
    env = {"PATH": str(venv / "bin"), "HOME": str(home), "LANG": "C.UTF-8"}

    def run(*words: str) -> str:
        told = subprocess.run([venv / "bin" / "jupyter", *words], env=env, capture_output=True, text=True, check=True)
        return told.stdout + told.stderr

    return run


def test_jupyter_finds_the_server_extension_of_the_installed_wheel(jupyter):
    told = jupyter("server", "extension", "list")
    assert re.search(r"gpumodels .*enabled.*\n.*Validating gpumodels.*\n +gpumodels [\d.]+ .*OK", told), told


def test_jupyterlab_finds_the_sidebar_of_the_installed_wheel(jupyter):
    told = jupyter("labextension", "list")
    assert re.search(r"gpumodels v[\d.]+ .*enabled.* .*OK", told), told
