"""The sidebar with several notebooks, and with failures: in a real JupyterLab, with real models."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

import gpumodels
from tests.browser.pages import KERNEL_IDLE
from tests.fakes.nvml import GB

LOAD = "%load_ext gpumodels\n%load_model echo --engine process --gpu none"
FAIL = "%load_model echo --engine process --gpu none --env ECHO_LOAD=fail --as broken"
ONE = "**/gpumodels/api/models/*"
SELECTED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"


def test_several_notebooks(open_notebook, lab, page):
    signs, sidebar = open_notebook("signs.ipynb", LOAD, FAIL)
    signs.run(0)
    show(page, lab, "train.ipynb", LOAD)
    signs.run(0)
    the_current_notebook_comes_first(sidebar, page)
    an_idle_kernel_that_holds_memory_is_shut_down(sidebar, lab, page)
    page.get_by_role("tab", name="signs.ipynb").click()
    a_failed_load_stays_until_it_is_dismissed(sidebar, signs)
    a_command_stops_all_models_of_the_notebook(sidebar, page)
    lab.write("stats.ipynb", "1 + 1", kernel="ir")
    show(page, lab, "stats.ipynb")
    a_notebook_that_is_not_python_is_refused(sidebar, signs)


def show(page, lab, name: str, *cells: str) -> None:
    """Open another notebook in the page."""
    if cells:
        lab.write(name, *cells)
    page.evaluate("name => void jupyterapp.commands.execute('docmanager:open', { path: name })", name)
    expect(page.get_by_role("tab", name=name, selected=True)).to_be_visible()
    page.wait_for_function(KERNEL_IDLE, timeout=60_000)


def the_current_notebook_comes_first(sidebar, page):
    names = "els => els.map(el => el.getAttribute('aria-label'))"
    expect(sidebar.groups).to_have_count(2)
    assert sidebar.groups.evaluate_all(names) == ["train.ipynb (this notebook)", "signs.ipynb"]
    page.get_by_role("tab", name="signs.ipynb").click()
    expect(sidebar.group("signs.ipynb (this notebook)")).to_be_visible()
    assert sidebar.groups.evaluate_all(names) == ["signs.ipynb (this notebook)", "train.ipynb"]
    sidebar.button("Go to train.ipynb").click()
    expect(page.get_by_role("tab", name="train.ipynb", selected=True)).to_be_visible()
    expect(sidebar.group("train.ipynb (this notebook)")).to_be_visible()


def an_idle_kernel_that_holds_memory_is_shut_down(sidebar, lab, page):
    kernels = lab.get("gpumodels/api/state")["kernels"].values()
    (pid,) = [kernel["pid"] for kernel in kernels if kernel["notebook"] == "train.ipynb"]
    lab.gpus.hold(pid, 22 * GB, 1)
    idle = sidebar.section("Idle kernels").get_by_role("listitem")
    expect(idle).to_contain_text("22.0 GB")
    expect(sidebar.status_bar).to_have_text("GPU 22.0 GB")
    sidebar.button("Shut down kernel of train.ipynb").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Its models end with it: echo.")
    dialog.get_by_role("button", name="Shut Down").click()
    expect(sidebar.section("Idle kernels")).to_have_count(0)
    expect(sidebar.memory(1)).to_have_attribute("aria-label", "0.0 GB of 40.0 GB in use")
    expect(sidebar.groups).to_have_count(1)


def a_failed_load_stays_until_it_is_dismissed(sidebar, notebook):
    notebook.run(1)
    failed = sidebar.section("Failed loads").get_by_role("listitem")
    expect(failed).to_contain_text("echo was told to fail in load")
    expect(failed).to_contain_text("signs.ipynb")
    sidebar.button("Log of echo").click()
    expect(failed.get_by_role("log")).to_contain_text("RuntimeError")
    sidebar.button("Dismiss echo").click()
    expect(sidebar.section("Failed loads")).to_have_count(0)


def a_command_stops_all_models_of_the_notebook(sidebar, page):
    page.evaluate("void jupyterapp.commands.execute('apputils:activate-command-palette')")
    page.locator(".lm-CommandPalette-input").fill("stop all models of this")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog").filter(has_text="Stop all models of this notebook?")
    expect(dialog).to_contain_text("echo on CPU")
    dialog.get_by_role("button", name="Stop").click()
    expect(sidebar.models).to_have_count(0)


def a_notebook_that_is_not_python_is_refused(sidebar, notebook):
    sidebar.choose("echo", GPU="none")
    expect(sidebar.form).to_contain_text("The kernel of stats.ipynb runs R: models are loaded in Python notebooks.")
    expect(sidebar.form.get_by_role("button", name="Load", exact=True)).to_be_disabled()
    expect(notebook.cells).to_have_count(1)


def test_failures_are_shown(sidebar, script_model, lab, page):
    model = sidebar.model("echo")
    everything_is_reached_by_the_keyboard(sidebar, page)
    more_options_appear_in_the_line(sidebar, page)
    a_failed_stop_shows_the_reason(sidebar, model, page)
    a_hidden_sidebar_gets_no_messages(sidebar, page)
    a_model_is_stopped_by_keyboard(sidebar, page)
    with pytest.raises(gpumodels.ModelStopped, match="stopped from the sidebar"):
        script_model("hello")
    with gpumodels.load("echo", engine="fake", gpu="none") as another:
        a_stopped_server_is_reported_until_it_is_back(sidebar, model, another, lab)


def everything_is_reached_by_the_keyboard(sidebar, page):
    expect(sidebar.model("echo")).to_contain_text("ready")
    expect(sidebar.form.get_by_role("radio", name="echo")).to_be_visible()
    sidebar.region.focus()
    reached = []
    while (sidebar.region.locator(":focus").count() or not reached) and len(reached) < 40:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(SELECTED))
    expected = ["GPUs", "Models", "Put echo to sleep", "Logs of echo", "Stop echo", "Load a model", "Search models"]
    expected.append("More options")
    assert [name for name in reached if name in expected] == expected, reached


def more_options_appear_in_the_line(sidebar, page):
    """Open and fill in the options with the keyboard alone, beginning at the heading that shows them."""
    share, line = sidebar.form.get_by_role("checkbox", name="Share"), sidebar.form.locator("code")
    sidebar.choose("echo")
    expect(share).to_be_hidden()
    sidebar.form.get_by_text("More options").focus()
    page.keyboard.press("Enter")
    expect(share).to_be_visible()
    for word in ("30m", "A=two words"):  # into the first fields: timeout, env
        page.keyboard.press("Tab")
        page.keyboard.type(word)
    share.focus()
    page.keyboard.press("Space")
    expect(line).to_have_text("%load_model echo --timeout 30m --env 'A=two words' --share")
    sidebar.form.get_by_text("More options").click()
    expect(share).to_be_hidden()


def a_failed_stop_shows_the_reason(sidebar, model, page):
    page.route(ONE, lambda route: route.fulfill(status=500, json={"message": "Docker does not answer."}))
    sidebar.button("Stop echo").click()
    expect(model.get_by_role("alert")).to_have_text("Docker does not answer.")
    expect(model).to_contain_text("ready")
    page.unroute(ONE)


def a_hidden_sidebar_gets_no_messages(sidebar, page):
    sidebar.toggle()
    expect(sidebar.region).to_be_hidden()
    page.wait_for_timeout(1500)
    received = len(sidebar.received)
    page.wait_for_timeout(7000)
    assert received
    assert len(sidebar.received) == received
    sidebar.toggle()
    expect(sidebar.region).to_be_focused()


def a_model_is_stopped_by_keyboard(sidebar, page):
    sidebar.button("Put echo to sleep").focus()
    while page.evaluate(SELECTED) != "Stop echo":
        page.keyboard.press("Tab")
        assert sidebar.models.locator(":focus").count()
    page.keyboard.press("Enter")
    expect(sidebar.models).to_have_count(0)
    expect(sidebar.region.locator(":focus")).to_have_count(1)


def a_stopped_server_is_reported_until_it_is_back(sidebar, shown, model, lab):
    """Stop the server, and a model meanwhile. When the server is back, the sidebar shows the new state."""
    expect(shown).to_contain_text("ready")
    lab.stop()
    alert = sidebar.alert.filter(has_text="The Jupyter server does not answer")
    expect(alert).to_contain_text("What is below was so at")
    expect(shown).to_be_visible()
    model.stop()
    lab.start()
    expect(alert).to_have_count(0, timeout=60_000)
    expect(sidebar.models).to_have_count(0)
