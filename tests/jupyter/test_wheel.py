"""The wheel: it is built from the source archive without Node, holds all files, and works when installed."""

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
    tools = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # with jlpm, in case the sidebar is not built
    )
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


def test_the_wheel_is_small_and_holds_no_tests_or_build_files(wheel):
    assert wheel.stat().st_size < 5_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name or name.startswith("tests/")]


@pytest.fixture(scope="module")
def jupyter(wheel, tmp_path_factory):
    """A function that runs `jupyter` with the installed wheel and without Node, and returns its output."""
    directory = tmp_path_factory.mktemp("installed")
    venv, home = directory / "venv", directory / "home"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    home.mkdir()
    lock = ROOT / "requirements.lock"  # the tested versions, which are in uv's cache
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--python", venv / "bin" / "python"]
    subprocess.run([*uv, "--constraint", lock, wheel, "notebook"], check=True)
    env = {"PATH": str(venv / "bin"), "HOME": str(home), "LANG": "C.UTF-8"}

    def run(*words: str) -> str:
        result = subprocess.run([venv / "bin" / "jupyter", *words], env=env, capture_output=True, text=True, check=True)
        return result.stdout + result.stderr

    return run


def test_jupyter_finds_the_server_extension_of_the_installed_wheel(jupyter):
    output = jupyter("server", "extension", "list")
    assert re.search(r"gpumodels .*enabled.*\n.*Validating gpumodels.*\n +gpumodels [\d.]+ .*OK", output), output


def test_jupyterlab_finds_the_sidebar_of_the_installed_wheel(jupyter):
    output = jupyter("labextension", "list")
    assert re.search(r"gpumodels v[\d.]+ .*enabled.* .*OK", output), output
