"""A user's work in the sidebar, from loading a model to the end of its kernel. Only the GPUs are made up."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from playwright.sync_api import expect

from gpumodels.lease.processes import of_instance
from tests.browser.pages import KERNEL_IDLE, Sidebar
from tests.fakes.nvml import GB
from tests.leftovers import until

LINE = "%load_model echo --gpu 0 --engine process"
CALL = "for _ in range(20): answer = echo('hello')\nprint(answer)"
HERE = "signs.ipynb (this notebook)"

#: The time at which the model disappears from the page, in seconds since the epoch.
GONE = """
new Promise(resolve => {
  const look = () => document.querySelector('.gpumodels-Row') || resolve(Date.now() / 1000);
  new MutationObserver(look).observe(document.querySelector('.gpumodels-Panel'), { childList: true, subtree: true });
})
"""


def test_from_the_form_to_the_end_of_the_kernel(open_notebook, lab, page):
    notebook, sidebar = open_notebook("signs.ipynb", "6 * 7", CALL)
    a_model_is_loaded_by_a_cell(notebook, sidebar)
    its_memory_and_its_calls_are_seen(notebook, sidebar, lab)
    it_sleeps_and_wakes(notebook, sidebar)
    its_log_is_read(sidebar)
    another_browser_stops_it(notebook, sidebar, lab, page)
    it_is_gone_soon_after_its_kernel(notebook, sidebar, lab, page)


def a_model_is_loaded_by_a_cell(notebook, sidebar):
    expect(sidebar.region).to_contain_text("No model is running")
    expect(sidebar.memory(0)).to_have_attribute("aria-label", re.compile("^0.0 GB of 80.0 GB in use"))
    notebook.run(0)
    sidebar.choose("echo", GPU="0", Engine="process")
    expect(sidebar.form.get_by_label("The line that it will run")).to_have_text(LINE)
    sidebar.load()
    notebook.wait_until_run(1)
    expect(notebook.source(1)).to_have_text("%load_ext gpumodels" + LINE)
    model = sidebar.model("echo", HERE).filter(has_text="ready")
    expect(model).to_contain_text("GPU 0")


def its_memory_and_its_calls_are_seen(notebook, sidebar, lab):
    model = sidebar.model("echo", HERE)
    lab.hold("echo", 12 * GB)
    expect(sidebar.memory(0)).to_have_attribute("aria-label", "12.0 GB of 80.0 GB in use: echo · signs.ipynb 12.0 GB")
    expect(model).to_contain_text("12.0 GB")
    expect(sidebar.status_bar).to_have_text("GPU 12.0 GB")
    sidebar.toggle()
    expect(sidebar.region).to_be_hidden()
    sidebar.status_bar.click()
    expect(sidebar.region).to_be_focused()
    expect(model).to_contain_text("0.0 calls/s")
    expect(notebook.run(2)).to_contain_text("hello")
    expect(model).not_to_contain_text("0.0 calls/s")
    expect(model).to_contain_text("calls/s")


def it_sleeps_and_wakes(notebook, sidebar):
    model = sidebar.model("echo", HERE)
    sidebar.button("Put echo to sleep").click()
    expect(model).to_contain_text("asleep")
    expect(model).to_contain_text("12.0 GB given back")
    expect(sidebar.memory(0)).to_have_attribute("aria-label", "0.0 GB of 80.0 GB in use")
    expect(sidebar.status_bar).to_have_text("GPU 0.0 GB")
    sidebar.button("Wake echo").click()
    expect(model.filter(has_text="ready")).to_have_count(1)
    expect(model).to_have_count(1)


def its_log_is_read(sidebar):
    sidebar.button("Logs of echo").click()
    log = sidebar.region.get_by_role("log", name="What echo printed")
    expect(log).to_contain_text("echo: load on cuda")
    log.press("Escape")
    expect(log).to_have_count(0)


def another_browser_stops_it(notebook, sidebar, lab, page):
    """Stop the model in Notebook 7, where the sidebar is opened from the menu. It disappears in both browsers."""
    pid = lab.hold("echo", 7 * GB)
    expect(sidebar.memory(0)).to_have_attribute("aria-label", re.compile("^7.0 GB of 80.0 GB in use"))
    notebook.save()
    other = page.context.browser.new_page()
    other.goto(lab.address("signs.ipynb", front_end="notebooks"))
    other.wait_for_function(KERNEL_IDLE, timeout=60_000)
    other.get_by_role("menuitem", name="View", exact=True).click()
    other.get_by_role("menuitem", name="GPUs and Models").click()
    second = Sidebar(other)
    expect(second.model("echo", HERE)).to_contain_text("7.0 GB")
    second.button("Stop echo").click()
    for each in (second, sidebar):
        expect(each.models).to_have_count(0)
        expect(each.memory(0)).to_have_attribute("aria-label", "0.0 GB of 80.0 GB in use")
    other.close()
    assert not Path(f"/proc/{pid}").exists()
    expect(notebook.run(2)).to_contain_text("stopped from the sidebar at")


def it_is_gone_soon_after_its_kernel(notebook, sidebar, lab, page):
    notebook.run(1)
    expect(sidebar.model("echo", HERE).filter(has_text="ready")).to_have_count(1)
    instance = lab.instance("echo")
    (kernel,) = lab.get("gpumodels/api/state")["kernels"].values()
    page.evaluate(f"void (window.gone = {GONE})")
    killed = time.time()
    os.kill(kernel["pid"], signal.SIGKILL)
    until(lambda: not of_instance(instance), within=30)
    ended = time.time()
    seen = page.evaluate("window.gone")
    delays = f"its model ended {ended - killed:.2f} s after its kernel, and was out of sight {seen - ended:.2f} s later"
    print(f"\n{delays}")  # noqa: T201  (shown by pytest -s)
    assert seen - ended < 6, delays  # two seconds on an idle machine
