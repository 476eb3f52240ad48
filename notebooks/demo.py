"""`make demo`: execute the quick start without a browser, and say what came of it.

The executed notebook, with the drawn boxes, is saved in build-demo/, or in the directory given. The engine is chosen by
the environment variable ENGINE: docker, process or auto.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "01-quickstart.ipynb"
QUIET = ["--log-level=ERROR"]  # for the kernel, which else warns that loopback is not encrypted


class Demo(NotebookClient):
    """Executes a notebook; the terminal follows its headings and what is shown while a model loads."""

    def process_message(self, message: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int) -> Any:
        text = message["content"].get("data", {}).get("text/plain", "")
        if text and message["msg_type"] in ("display_data", "update_display_data"):
            follow(text.splitlines()[-1])
        return super().process_message(message, cell, cell_index)


def main() -> int:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "build-demo"
    directory.mkdir(exist_ok=True)
    executed = directory / NOTEBOOK.name
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    demo = Demo(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": HERE}}, extra_arguments=QUIET
    )
    demo.on_cell_start = lambda cell, cell_index: announce(notebook.cells[cell_index - 1])
    print(f"Executing {shown(NOTEBOOK)}; the first time, this builds what the model needs and fetches its weights.")
    try:
        demo.execute()
    except CellExecutionError as error:
        print(f"The notebook failed. {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    finally:
        follow("")
        nbformat.write(notebook, executed)
        print(f"The executed notebook is {shown(executed)}")
    for name, value in figures(notebook).items():
        print(f"  {name + ':':18}{value}")
    return 0


def announce(above: nbformat.NotebookNode) -> None:
    """Print the heading that a cell begins, if the cell above it is one."""
    if above.cell_type == "markdown" and above.source.startswith("#"):
        follow("")
        print(f"  {above.source.splitlines()[0].lstrip('# ')} ...", flush=True)


def follow(line: str) -> None:
    """Show what goes on in one line that is rewritten; only on a terminal, since a log wants no such lines."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line[:100]}", end="", flush=True)


def figures(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """The dict that the cell tagged "figures" shows."""
    cell = next(cell for cell in notebook.cells if "figures" in cell.metadata.get("tags", ()))
    return ast.literal_eval(next(output.data["text/plain"] for output in cell.outputs if "data" in output))


def shown(path: Path) -> str:
    """The path as it is shortest from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
