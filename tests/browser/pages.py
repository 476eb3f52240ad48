"""Page objects: the actions of a user. They find elements by role and name, as a screen reader does."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, WebSocket, expect

#: The indicator in the notebook's toolbar shows idle even before there is a kernel; a cell that is run then never runs.
KERNEL_IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


class Notebook:
    """The visible notebook of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")

    def run(self, index: int) -> Locator:
        """Run a cell and wait until it has ended. Return its output."""
        prompt = self._prompt(index)
        before = prompt.inner_text()
        self.begin(index)
        expect(prompt).not_to_have_text(before)
        self.wait_until_run(index)
        return self.output(index)

    def begin(self, index: int) -> None:
        """Begin to run a cell, without waiting."""
        self.cells.nth(index).get_by_role("textbox").click()
        # Run it by a command, not by the keyboard, because a JupyterLab that is still starting moves the focus.
        self._page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")

    def wait_until_run(self, index: int) -> None:
        """Wait until a cell has run."""
        expect(self._prompt(index)).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=120_000)

    def _prompt(self, index: int) -> Locator:
        return self.cells.nth(index).locator(".jp-InputPrompt")

    def output(self, index: int) -> Locator:
        return self.cells.nth(index).locator(".jp-OutputArea-output")

    def source(self, index: int) -> Locator:
        return self.cells.nth(index).get_by_role("textbox")

    def save(self) -> None:
        self._page.evaluate("jupyterapp.commands.execute('docmanager:save')")


class Sidebar:
    """The sidebar of gpumodels."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.region = page.get_by_role("region", name="GPU models")
        self.alert = self.region.get_by_role("alert")
        self.form = self.region.get_by_role("form", name="Load a model")
        self.status_bar = page.locator(".gpumodels-StatusBar").get_by_role("button")
        #: The messages of the feed since this object was made.
        self.received: list[str | bytes] = []
        self._tab = page.get_by_role("tab", name="GPU models")
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        if "/gpumodels/api/feed" in socket.url:
            socket.on("framereceived", lambda message: self.received.append(message))  # noqa: PLW0108  (Playwright needs a function)

    def toggle(self) -> None:
        self._tab.click()

    def section(self, name: str) -> Locator:
        return self.region.get_by_role("region", name=name)

    def memory(self, index: int) -> Locator:
        """Return the memory bar of a GPU."""
        return self.region.get_by_role("article", name=f"GPU {index}").get_by_role("img", name="in use")

    def group(self, name: str) -> Locator:
        """Return the models of a notebook. Its name is the file name, and "(this notebook)" for the current one."""
        return self.section("Models").get_by_role("group", name=name, exact=True)

    @property
    def groups(self) -> Locator:
        return self.section("Models").get_by_role("group")

    @property
    def models(self) -> Locator:
        return self.section("Models").get_by_role("listitem")

    def model(self, name: str, group: str | None = None) -> Locator:
        within = self.models if group is None else self.group(group).get_by_role("listitem")
        return within.filter(has_text=name)

    def button(self, label: str) -> Locator:
        return self.region.get_by_role("button", name=label, exact=True)

    def choose(self, model: str, **options: str) -> None:
        """Fill in the form: the model, and options by the labels of their fields."""
        self.form.get_by_role("searchbox", name="Search models").fill(model)
        self.form.get_by_role("radio", name=model).check()
        for label, value in options.items():
            box = self.form.get_by_role("combobox", name=label)
            box.fill(value) if label.startswith("Sleep") else box.select_option(value)

    def load(self) -> None:
        self.form.get_by_role("button", name="Load", exact=True).click()


class Dashboard:
    """The dashboard in the notebook."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.region = page.get_by_role("region", name="GPUs and models")
        self.bar = self.region.get_by_role("region", name="GPU 0").get_by_role("img", name="in use")
        self.form = self.region.get_by_role("form")
        self.alert = self.region.get_by_role("alert")
        self.requests: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url) if "/api/usage" in request.url else None)

    def row(self, model: str) -> Locator:
        return self.region.locator("tbody").filter(has=self._page.get_by_role("rowheader", name=model))

    def button(self, label: str) -> Locator:
        return self.region.get_by_role("button", name=label)

    def count_requests(self, seconds: float) -> int:
        """Wait for `seconds` and return the number of requests that the dashboard sent meanwhile."""
        before = len(self.requests)
        self._page.wait_for_timeout(1000 * seconds)
        return len(self.requests) - before
