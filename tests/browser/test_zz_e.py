"""What the form does to a real notebook, and what it leaves alone."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.pages import KERNEL_IDLE

LINE = "%load_model echo --gpu none --engine process"
BOTH = f"%load_ext gpumodels\n{LINE}"

#: Too long for the screen, so that cells far away are not even drawn.
CELLS = [f"x = {index}\n" * 8 for index in range(40)]

DOCUMENT = "jupyterapp.shell.currentWidget.content.model.sharedModel"


def sources(page) -> list[str]:
    return page.evaluate(f"{DOCUMENT}.cells.map(cell => cell.getSource())")


def test_a_cell_is_inserted_run_and_seen_and_nothing_else_changes(open_notebook, page):
    notebook, sidebar = open_notebook("long.ipynb", *CELLS)
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 29")
    page.evaluate("jupyterapp.shell.currentWidget.content.scrollToItem(0)")
    expect(notebook.cells.first).to_be_in_viewport()
    sidebar.choose("echo", GPU="none", Engine="process")
    sidebar.load()
    ready = page.get_by_text("ready on CPU")
    expect(ready).to_be_in_viewport(timeout=120_000)
    assert sources(page) == [*CELLS[:30], BOTH, *CELLS[30:]]

    sidebar.load()  # below the cell that was inserted, whose extension the kernel has now
    expect(ready).to_have_count(2, timeout=120_000)
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)
    sidebar.load()
    
    try:
        expect(ready).to_have_count(3, timeout=25_000)
    except AssertionError:
        print(sources(page)[28:36], sidebar.form.inner_text(), page.evaluate("[jupyterapp.shell.currentWidget.sessionContext.kernelDisplayStatus, jupyterapp.shell.currentWidget.sessionContext.session.kernel.status]"), page.evaluate("jupyterapp.shell.currentWidget.content.widgets.slice(29,35).map(w => w.promptNode?.innerText + w.model.executionState)"), [e for e in page.locator(".jp-OutputArea").all_inner_texts()]); page.screenshot(path="/tmp/ebuild/flake.png"); raise
    assert sources(page) == [*CELLS[:30], BOTH, LINE, BOTH, *CELLS[30:]]

    for _ in range(3):
        page.evaluate("jupyterapp.commands.execute('notebook:undo-cell-action')")
    assert sources(page) == CELLS
