"""`make demo`: execute the quick start without a browser, and say what came of it.

The executed notebook, with the drawn boxes, is saved in build-demo/. The engine is chosen by the environment variable
ENGINE: docker, process or auto.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
NOTEBOOK = HERE / "01-quickstart.ipynb"
EXECUTED = HERE.parent / "build-demo" / NOTEBOOK.name
QUIET = ["--log-level=ERROR"]  # of the kernel, which else warns of every loopback connection


class Demo(NotebookClient):
    """Executes a notebook; the terminal follows its headings and what it shows while a model loads."""

    def process_message(self, message: dict[str, Any], cell: Any, cell_index: int) -> Any:
        data = message["content"].get("data")
        if data and message["msg_type"] in ("display_data", "update_display_data"):
            follow(data.get("text/plain", "").splitlines()[-1:])
        return super().process_message(message, cell, cell_index)


def follow(lines: list[str]) -> None:
    """Show what goes on in one line that is rewritten; only on a terminal, since a log wants no such lines."""
    if sys.stdout.isatty():
        print("\r\x1b[K" + "".join(lines)[:100], end="", flush=True)


def main() -> int:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    demo = Demo(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": HERE}}, extra_arguments=QUIET)
    demo.on_cell_start = announce(notebook)
    print(f"Executing {shown(NOTEBOOK)}; the first time it builds what the model needs.")
    try:
        demo.execute()
    except CellExecutionError as error:
        print(f"\nThe notebook failed: {error.ename}: {error.evalue}" if error.ename else f"\n{error}", file=sys.stderr)
        return 1
    finally:
        follow([])
        EXECUTED.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, EXECUTED)
        print(f"The executed notebook is {shown(EXECUTED)}")
    for name, value in figures(notebook).items():
        print(f"  {name:16}  {value}")
    return 0


def announce(notebook: nbformat.NotebookNode) -> Any:
    """A hook that prints each heading when its first cell starts."""

    def before(cell: nbformat.NotebookNode, cell_index: int) -> None:
        above = notebook.cells[cell_index - 1]
        if above.cell_type == "markdown" and above.source.startswith("#"):
            follow([])
            print("  " + above.source.splitlines()[0].lstrip("# "), flush=True)

    return before


def figures(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """The dict that the cell tagged "figures" shows."""
    cell = next(cell for cell in notebook.cells if "figures" in cell.metadata.get("tags", ()))
    return ast.literal_eval(next(output.data["text/plain"] for output in cell.outputs if "data" in output))


def shown(path: Path) -> str:
    """The path as it is shortest from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
