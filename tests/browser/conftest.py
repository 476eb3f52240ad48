"""A real Jupyter server with the sidebar of this checkout, on a machine with a GPU that does not exist, a real browser,
and page objects that say what a user does.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import gpumodels
from tests.fakes.nvml import GB, Machine, gpu, machine

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "gpumodels" / "labextension"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]

#: The indicator in the notebook's toolbar says idle before there is a kernel; a cell that is run then is never run.
KERNEL_IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


@dataclass(frozen=True)
class Lab:
    """A running Jupyter server, which serves JupyterLab and Notebook 7."""

    root: Path
    models: Path
    url: str
    token: str
    gpus: Machine

    def notebook(self, name: str, *cells: str, front_end: str = "lab/tree") -> str:
        """Write a notebook; returns the address that opens it, in JupyterLab or in Notebook 7 ("notebooks")."""
        written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        written.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(written, self.root / name)
        return f"{self.url}{front_end}/{name}?reset&token={self.token}"


def _configure(home: Path, gpus: Machine) -> dict[str, str]:
    """Settings of a Jupyter that knows nothing of this machine's own; returns its environment."""
    extensions = home / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "gpumodels").symlink_to(BUILT)
    config = {
        "ServerApp": {
            "jpserver_extensions": {"gpumodels": True, "notebook": True},
            "ip": "127.0.0.1",
            "port": 0,
            "open_browser": False,
        },
        "JupyterNotebookApp": {"expose_app_in_browser": True},
        "LabApp": {"extra_labextensions_path": [str(extensions)], "expose_app_in_browser": True, "news_url": None},
    }
    if os.geteuid() == 0:
        config["ServerApp"]["allow_root"] = True
    (home / "jupyter_server_config.json").write_text(json.dumps(config))
    notices = home / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    notices.parent.mkdir(parents=True)
    notices.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    places = {name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    places |= {"JUPYTER_CONFIG_DIR": str(home), "GPUMODELS_RUNTIME_DIR": str(home / "models"), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **places, **gpus.environment()}


def _address(home: Path, server: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server listens; it writes its address into its runtime directory."""
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        for file in (home / "jupyter_runtime_dir").glob("jpserver-*.json"):
            return json.loads(file.read_text())["url"]
        time.sleep(0.05)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if not (BUILT / "static" / "style.js").exists():
        pytest.fail("The sidebar is not built: run `jlpm install` and `jlpm build:prod` in labextension/.")
    home, root = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("notebooks")
    token, log = secrets.token_hex(16), home / "log"
    gpus = machine(home / "machine.json", gpu("NVIDIA H100", 80 * GB, utilisation=37, temperature=54, power=312_000))
    command = [sys.executable, "-m", "jupyterlab", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=_configure(home, gpus), cwd=root, stdout=output, stderr=output)
    try:
        yield Lab(root, home / "models", _address(home, server, log), token, gpus)
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    # Ends with the module: while it runs, no other event loop can run in this thread.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield page
    page.close()


class Notebook:
    """The notebook that is open in the page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._cells = page.locator(".jp-NotebookPanel .jp-CodeCell")

    def run(self, index: int) -> Locator:
        """Run a cell, wait until it has ended; returns its output."""
        self.begin(index)
        cell = self._cells.nth(index)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{index + 1}]:", timeout=120_000)
        return cell.locator(".jp-OutputArea-output")

    def begin(self, index: int) -> None:
        """Run a cell, and wait for nothing."""
        self._cells.nth(index).get_by_role("textbox").click()
        # By the command and not the keyboard, which goes wherever a JupyterLab that is still starting moves the focus.
        self._page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")

    def save(self) -> None:
        self._page.evaluate("jupyterapp.commands.execute('docmanager:save')")


class Sidebar:
    """Our panel, found as a screen reader finds it."""

    def __init__(self, page: Page) -> None:
        self.region = page.get_by_role("region", name="Running models")
        self.models = self.region.get_by_role("listitem")
        self.alert = self.region.get_by_role("alert")
        self._tab = page.get_by_role("tab", name="Running models")

    def toggle(self) -> None:
        self._tab.click()

    def model(self, name: str, notebook: str) -> Locator:
        return self.models.filter(has_text=name).filter(has_text=notebook)

    def stop_button(self, name: str, notebook: str) -> Locator:
        return self.region.get_by_role("button", name=f"Stop {name}, loaded by {notebook}")


class Dashboard:
    """The dashboard in the notebook, found as a screen reader finds it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.region = page.get_by_role("region", name="GPUs and models")
        self.bar = self.region.get_by_role("region", name="GPU 0").get_by_role("img", name="in use")
        self.form = self.region.get_by_role("form")
        self.alert = self.region.get_by_role("alert")
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url) if "/api/usage" in request.url else None)

    def row(self, model: str) -> Locator:
        return self.region.locator("tbody").filter(has=self._page.get_by_role("rowheader", name=model))

    def button(self, label: str) -> Locator:
        return self.region.get_by_role("button", name=label)

    def looks(self, seconds: float) -> int:
        """How often it asks in so many seconds."""
        before = len(self.asked)
        self._page.wait_for_timeout(1000 * seconds)
        return len(self.asked) - before


@pytest.fixture
def sidebar(lab: Lab, page: Page) -> Sidebar:
    """The opened sidebar, in a JupyterLab without a notebook."""
    page.goto(f"{lab.url}lab?reset&token={lab.token}")
    expect(page.locator(".jp-Launcher")).to_be_focused()  # the last thing that a starting JupyterLab does
    sidebar = Sidebar(page)
    sidebar.toggle()
    return sidebar


@pytest.fixture
def open_notebook(lab: Lab, page: Page):
    """Open a notebook of these cells, with the sidebar; its kernel ends with the test."""

    def opened(name: str, *cells: str) -> tuple[Notebook, Sidebar]:
        page.goto(lab.notebook(name, *cells))
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        sidebar = Sidebar(page)
        sidebar.toggle()
        return Notebook(page), sidebar

    yield opened
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")


@pytest.fixture
def script_model(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """A model that no notebook asked for, but this process."""
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(lab.models))
    with gpumodels.load("echo", engine="fake", gpu="none") as model:
        yield model
