"""The outputs in a saved notebook, and notebooks that are executed many times."""

from __future__ import annotations

import re

import nbformat
import papermill
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from tests.magics.conftest import ECHO

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of papermill and nbclient
QUIET = ["--log-level=ERROR"]


def notebook(*cells: str) -> nbformat.NotebookNode:
    return new_notebook(
        cells=[new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )


def test_the_saved_notebook_holds_only_the_last_line_of_a_load(runtime):
    made = notebook("%load_ext gpumodels", ECHO, "echo(1)")
    NotebookClient(made, extra_arguments=QUIET).execute()
    (output,) = made.cells[1].outputs
    assert output.output_type == "display_data"
    assert re.fullmatch(r"echo ready on CPU, fake engine, in \d\.\d s, as echo and model", output.data["text/plain"])
    assert output.data["text/plain"] in output.data["text/html"]


def test_papermill_saves_the_last_line_and_stops_at_a_failure(runtime, tmp_path):
    path = tmp_path / "in.ipynb"
    nbformat.write(notebook("%load_ext gpumodels", ECHO, "%load_model ecko", "reached = True"), path)
    with pytest.raises(papermill.PapermillExecutionError) as raised:
        papermill.execute_notebook(path, tmp_path / "out.ipynb", progress_bar=False)
    assert raised.value.ename == "ModelNotFound"
    assert "did you mean echo" in raised.value.evalue
    saved = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    (output,) = next(cell.outputs for cell in saved.cells if cell.source == ECHO)
    assert output.data["text/plain"].startswith("echo ready on CPU")
    assert saved.cells[-1].execution_count is None


@pytest.mark.parametrize("cell", ["%load_model echo --gup 0", "%stop_model", f"{ECHO} --env ECHO_LOAD=crash"])
def test_a_failing_magic_stops_the_run(runtime, cell):
    made = notebook("%load_ext gpumodels", cell, "reached = True")
    with pytest.raises(CellExecutionError):
        NotebookClient(made, extra_arguments=QUIET).execute()
    assert made.cells[-1].execution_count is None


def test_ten_rapid_restarts(runtime):
    """Do "Restart & Run All" ten times. Each load finds that the previous model has ended, or waits for its end."""
    made = notebook(
        "%load_ext gpumodels",
        ECHO,
        "import gpumodels\nassert [r.id for r in gpumodels.running()] == [echo.record.id]\necho(1)",
    )
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=QUIET)
    for now in [True, False] * 5:
        client = NotebookClient(made, km=manager)
        client.execute(cleanup_kc=False)
        client.kc.stop_channels()
        assert made.cells[-1].outputs[0].data["text/plain"] == "1"
        manager.restart_kernel(now=now)
    manager.shutdown_kernel(now=True)
