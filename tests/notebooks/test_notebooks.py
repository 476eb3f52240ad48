"""Executing the example notebooks, as `make demo` does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.fakes.nvml import GB, gpu, machine

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"


def demo(engine: str, runtime: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of `make demo`. It saves the executed notebook in `out`."""
    settings = {**os.environ, "ENGINE": engine, "GPUMODELS_RUNTIME_DIR": str(runtime)}
    command = [sys.executable, str(NOTEBOOKS / "demo.py"), str(out)]
    return subprocess.run(command, env=settings, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)  # the first run builds an environment or image, and fetches the weights
@pytest.mark.parametrize("engine", ["process", "docker"])
def test_the_quick_start_finds_the_text_and_leaves_nothing(tmp_path, engine):
    runtime = tmp_path / "runtime"
    done = demo(engine, runtime, tmp_path)
    assert done.returncode == 0, done.stderr
    printed = dict(line.split(":") for line in done.stdout.splitlines() if ":" in line)
    figures = {name.strip(): value.strip() for name, value in printed.items()}
    assert list(figures)[-5:] == ["text lines", "seconds to load", "seconds per call", "engine", "device"]
    assert int(figures["text lines"]) >= 15
    assert figures["engine"] == engine
    executed = nbformat.read(tmp_path / "01-quickstart.ipynb", as_version=4)
    assert any("image/" in mime for cell in executed.cells for mime in mimes(cell)), "the boxes are drawn"
    assert not list(runtime.glob("[!.]*-*"))


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """A function that executes an example notebook, checks that it leaves nothing, and returns it."""

    def execute(name: str, engine: str) -> nbformat.NotebookNode:
        runtime = tmp_path / "runtime"
        monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(runtime))
        monkeypatch.setenv("ENGINE", engine)
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": NOTEBOOKS}},
            extra_arguments=["--log-level=ERROR"],
        ).execute()
        assert not list(runtime.glob("[!.]*-*"))
        return notebook

    return execute


def text_of(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["process", "docker"])
def test_the_notebook_about_calls_runs_and_leaves_nothing(executed, engine):
    notebook = executed("02-calling.ipynb", engine)
    text = text_of(notebook)
    assert "29 strips" in text
    assert "2 16 shades" in text
    assert "one word after another" in text
    assert "which has no 'shade'" in text
    assert "typist gave no answer within 0.5 s" in text
    assert f"'engine': '{engine}'" in text
    assert "image/png" in [mime for cell in notebook.cells for mime in mimes(cell)], "the picture is drawn"
    failed = [output for cell in notebook.cells for output in cell.get("outputs", ()) if output.output_type == "error"]
    assert [error.ename for error in failed] == ["ModelCallError"]


@pytest.mark.timeout(900)
def test_the_notebook_about_gpus_runs_and_leaves_nothing(executed, tmp_path, monkeypatch):
    """Execute the notebook on a machine with two fake GPUs."""
    gpus = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA A100", 40 * GB, used=3 * GB))
    for name, value in gpus.environment().items():
        monkeypatch.setenv(name, value)
    notebook = executed("03-gpus.ipynb", "process")
    text = text_of(notebook)
    assert "2 devices" in text
    assert "unaccounted" in text
    assert "echo ready as 2 replicas on GPU 0, GPU 1" in text
    assert "4950 from echo" in text
    shown = [mime for cell in notebook.cells for mime in mimes(cell)]
    assert shown.count("application/vnd.jupyter.widget-view+json") == 2, "the dashboard and the card"
    for cell in notebook.cells:
        for picture in re.findall(r"\]\((pictures/[^)]+)\)", cell.source):
            assert (NOTEBOOKS / picture).exists()


def test_a_notebook_that_fails_is_reported_in_one_line_and_saved(tmp_path):
    done = demo("dokcer", tmp_path / "runtime", tmp_path)
    assert done.returncode == 1
    assert "EngineUnavailable: There is no engine 'dokcer'; did you mean 'docker'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "01-quickstart.ipynb").exists()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def mimes(cell: nbformat.NotebookNode) -> list[str]:
    return [mime for output in cell.get("outputs", ()) for mime in output.get("data", ())]
