"""The dashboard and the cards of models in JupyterLab and Notebook 7, in a real browser. Only the GPU is made up."""

from __future__ import annotations

import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.browser.pages import KERNEL_IDLE, Dashboard, Notebook
from tests.fakes.nvml import GB

LOAD = "%load_ext gpumodels\n%load_model echo --engine process --gpu 0"
WAIT = "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.05)"
RESTART = "jupyterapp.shell.currentWidget.sessionContext.restartKernel()"


@pytest.fixture
def opened(lab, page):
    """A function that opens a notebook of these cells in a front end. The kernel ends with the test."""

    def open_(front_end: str, name: str, *cells: str) -> tuple[Notebook, Dashboard]:
        page.goto(lab.notebook(name, *cells, front_end=front_end))
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        return Notebook(page), Dashboard(page)

    yield open_
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.forget_processes()


def last_activity(lab) -> str:
    """Return the time of the last activity of the only kernel, by which idle kernels are culled."""
    (kernel,) = lab.get("api/kernels")
    return kernel["last_activity"]


def converted(lab, name: str) -> str:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--stdout", str(lab.root / name)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_dashboard_in_jupyterlab(opened, lab, page):
    calls = "for _ in range(3): echo('hello', sleep=0.02)"
    again = "print(echo('again'))\necho"
    notebook, dashboard = opened("lab/tree", "signs.ipynb", LOAD, "%gpu_dashboard", calls, WAIT, again)
    notebook.run(0)
    lab.hold("echo", 12 * GB)
    notebook.run(1)
    expect(dashboard.bar).to_have_attribute("aria-label", "12.0 GB of 80.0 GB in use: echo · signs.ipynb 12.0 GB")
    expect(dashboard.region).to_contain_text("37 % busy · 54 °C · 312 / 700 W")
    it_shows_a_call_and_leaves_the_kernel_idle(notebook, dashboard, lab, page)
    it_sends_no_requests_while_it_is_hidden(dashboard, page)
    it_goes_on_while_a_cell_runs(notebook, dashboard, lab)
    it_puts_to_sleep_wakes_and_restarts(dashboard, page.locator(".gpumodels-card"))
    it_survives_its_kernel(notebook, dashboard, page)
    it_is_saved_as_a_picture(page)
    saved = converted(lab, "signs.ipynb")
    assert "echo · signs.ipynb" in saved
    assert "as seen on" in saved


def it_shows_a_call_and_leaves_the_kernel_idle(notebook, dashboard, lab, page):
    row = dashboard.row("echo")
    expect(row).to_contain_text("signs.ipynb")
    expect(row).not_to_contain_text(" ms")
    notebook.run(2)
    expect(row).to_contain_text(" ms")
    button = dashboard.button("Sleep echo")
    button.focus()
    page.wait_for_timeout(500)
    idle_since = last_activity(lab)
    assert dashboard.count_requests(4) >= 2
    assert last_activity(lab) == idle_since
    expect(button).to_be_focused()


def it_sends_no_requests_while_it_is_hidden(dashboard, page):
    page.evaluate("void jupyterapp.commands.execute('launcher:create')")
    expect(dashboard.region).to_be_hidden()
    page.wait_for_timeout(1500)
    assert dashboard.count_requests(3) == 0
    page.get_by_role("tab", name="signs.ipynb").click()
    expect(dashboard.region).to_be_visible()


def it_goes_on_while_a_cell_runs(notebook, dashboard, lab):
    """Stop a model at once, and load one, which needs the kernel, after the running cell."""
    notebook.begin(3)
    assert dashboard.count_requests(3) >= 1
    for label, value in {"Model": "echo", "GPU": "none", "Engine": "process"}.items():
        dashboard.region.get_by_role("combobox", name=label).select_option(value)
    dashboard.form.get_by_role("button", name="Load").click()
    status = dashboard.form.get_by_role("status")
    expect(status).to_have_text("waits for the running cell")
    dashboard.button("Stop echo, loaded by signs.ipynb").click()
    expect(dashboard.row("echo")).to_have_count(0)
    expect(dashboard.bar).to_have_attribute("aria-label", "0.0 GB of 80.0 GB in use: nothing")
    (lab.root / "go").touch()
    expect(status).to_contain_text("%load_model echo --gpu none --engine process: echo ready on CPU")
    expect(notebook.run(4).first).to_contain_text("again")


def it_puts_to_sleep_wakes_and_restarts(dashboard, card):
    row = dashboard.row("echo")
    expect(row).to_contain_text("CPU")
    dashboard.button("Sleep echo").click()
    expect(dashboard.region).to_contain_text("echo is asleep since")
    expect(card).to_contain_text("echo is asleep since")
    dashboard.button("Wake echo").click()
    expect(row).to_contain_text("CPU")
    expect(dashboard.region).to_contain_text("echo is awake")
    expect(card).to_contain_text("signs.ipynb")
    dashboard.button("Restart echo").click()
    expect(dashboard.region).to_contain_text("echo was restarted, in")
    expect(row).to_contain_text("CPU")


def it_survives_its_kernel(notebook, dashboard, page):
    notebook.save()
    page.evaluate(RESTART)
    expect(dashboard.alert).to_contain_text("The kernel is gone")
    expect(dashboard.form.get_by_role("button", name="Load")).to_be_disabled()
    expect(dashboard.region).to_contain_text("No model is running")


def it_is_saved_as_a_picture(page):
    page.reload()
    expect(page.locator("[data-gpumodels-picture]").first).to_contain_text("run the cell again to see it live")
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)
    expect(page.get_by_text("model not found").first).to_be_hidden()


def test_a_dashboard_and_a_card_in_notebook_7_without_the_server_extension(opened, lab, page):
    page.route("**/gpumodels/api/**", lambda route: route.fulfill(status=404, body="<html>"))
    notebook, dashboard = opened("notebooks", "left.ipynb", LOAD, "%gpu_dashboard", "echo", "echo('hello')")
    notebook.run(0)
    lab.hold("echo", 5 * GB)
    notebook.run(1)
    expect(dashboard.region).to_contain_text("The kernel answers itself, and so does not count as idle")
    card = notebook.run(2).locator(".gpumodels-card")
    expect(card).to_contain_text("5.0 GB")
    assert "ms" not in card.inner_text()
    notebook.run(3)
    expect(card).to_contain_text("ms")
    expect(dashboard.bar).to_have_attribute("aria-label", "5.0 GB of 80.0 GB in use: echo · left.ipynb 5.0 GB")
    dashboard.button("Show what is printed by echo").click()
    expect(dashboard.region).to_contain_text("echo is ready after")
    dashboard.button("Stop echo").click()
    expect(dashboard.region).to_contain_text("No model is running")
    expect(card).to_contain_text("stopped")
    page.unroute("**/gpumodels/api/**")
