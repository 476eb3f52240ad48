"""The form inserts a cell into a real notebook and changes nothing else in it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.pages import KERNEL_IDLE

LINE = "%load_model echo --gpu none --engine process"
LINE_WITH_IDLE = f"{LINE} --idle 10m"
EXTENSION = "%load_ext gpumodels\n"

#: A notebook longer than the screen: JupyterLab does not render cells that are far away.
CELLS = [f"x = {index}\n" * 8 for index in range(40)]

DOCUMENT = "jupyterapp.shell.currentWidget.content.model.sharedModel"


def sources(page) -> list[str]:
    return page.evaluate(f"{DOCUMENT}.cells.map(cell => cell.getSource())")


def fill_in(sidebar, idle: str) -> None:
    """Fill in the form. Each line differs from the one before: the same line twice counts as a double click."""
    sidebar.choose("echo", GPU="none", Engine="process", **{"Sleep when idle for": idle})


def test_a_cell_is_inserted_run_and_scrolled_to_and_nothing_else_changes(open_notebook, page):
    notebook, sidebar = open_notebook("long.ipynb", *CELLS)
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 29")
    page.evaluate("jupyterapp.shell.currentWidget.content.scrollToItem(0)")
    expect(notebook.cells.first).to_be_in_viewport()
    fill_in(sidebar, "")
    sidebar.load()
    ready = page.get_by_text("ready on CPU")
    expect(ready).to_be_in_viewport(timeout=120_000)
    assert sources(page) == [*CELLS[:30], EXTENSION + LINE, *CELLS[30:]]

    fill_in(sidebar, "10m")
    sidebar.load()  # below the inserted cell, which has loaded the extension
    expect(ready).to_have_count(2, timeout=120_000)
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)
    fill_in(sidebar, "")
    sidebar.load()
    expect(ready).to_have_count(3, timeout=120_000)
    assert sources(page) == [*CELLS[:30], EXTENSION + LINE, LINE_WITH_IDLE, EXTENSION + LINE, *CELLS[30:]]

    for _ in range(3):
        page.evaluate("jupyterapp.commands.execute('notebook:undo-cell-action')")
    assert sources(page) == CELLS
