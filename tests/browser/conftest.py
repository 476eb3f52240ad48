"""A Jupyter server that all tests here share, and a real browser."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import gpumodels
from tests.browser.pages import KERNEL_IDLE, Notebook, Sidebar
from tests.browser.server import BUILT, Lab

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    if not (BUILT / "static" / "style.js").exists():
        pytest.fail("The sidebar is not built: run `jlpm install` and `jlpm build:prod` in labextension/.")
    lab = Lab(tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("notebooks"))
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def browser():
    # Per module: while Playwright runs, no other event loop can run in this thread.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield page
    page.close()


@pytest.fixture
def closed_sidebar(lab: Lab, page: Page) -> Sidebar:
    """The sidebar of a JupyterLab without a notebook, before it is opened."""
    sidebar = Sidebar(page)
    page.goto(lab.address())
    expect(page.locator(".jp-Launcher")).to_be_focused()  # the last step of a starting JupyterLab
    return sidebar


@pytest.fixture
def sidebar(closed_sidebar: Sidebar) -> Sidebar:
    """The opened sidebar, in a JupyterLab without a notebook."""
    closed_sidebar.toggle()
    return closed_sidebar


@pytest.fixture
def open_notebook(lab: Lab, page: Page):
    """A function that opens a notebook of these cells and the sidebar. The kernel ends with the test."""

    def opened(name: str, *cells: str) -> tuple[Notebook, Sidebar]:
        page.goto(lab.notebook(name, *cells))
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        sidebar = Sidebar(page)
        sidebar.toggle()
        return Notebook(page), sidebar

    yield opened
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.forget_processes()


@pytest.fixture
def script_model(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """A model that this process loaded, not a notebook."""
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(lab.models))
    with gpumodels.load("echo", engine="fake", gpu="none") as model:
        yield model
