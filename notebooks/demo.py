"""The program of `make demo`: execute the quick start without a browser, and print its figures.

The executed notebook, with the drawn boxes, is saved in build-demo/ or in the directory that is the first argument.
The environment variable ENGINE chooses the engine: docker, process or auto.
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
QUIET = ["--log-level=ERROR"]  # without it the kernel warns that loopback is not encrypted


class Demo(NotebookClient):
    """A notebook that is executed while the terminal shows its headings and the progress of loads."""

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
    """Print the heading of the cell `above`, if it has one."""
    if above.cell_type == "markdown" and above.source.startswith("#"):
        follow("")
        print(f"  {above.source.splitlines()[0].lstrip('# ')} ...", flush=True)


def follow(line: str) -> None:
    """Show the progress in one line that is rewritten, if the output is a terminal."""
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line[:100]}", end="", flush=True)


def figures(notebook: nbformat.NotebookNode) -> dict[str, Any]:
    """Return the dict that the cell with the tag "figures" shows."""
    cell = next(cell for cell in notebook.cells if "figures" in cell.metadata.get("tags", ()))
    return ast.literal_eval(next(output.data["text/plain"] for output in cell.outputs if "data" in output))


def shown(path: Path) -> str:
    """Return the path, relative to the working directory if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
