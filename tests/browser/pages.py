"""Page objects, which say what a user does, and find things as a screen reader finds them."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, WebSocket, expect

#: The indicator in the notebook's toolbar says idle before there is a kernel; a cell that is run then is never run.
KERNEL_IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


class Notebook:
    """The notebook that is in front in the page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.cells = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")

    def run(self, index: int) -> Locator:
        """Run a cell, wait until it has ended; returns its output."""
        prompt = self._prompt(index)
        before = prompt.inner_text()
        self.begin(index)
        expect(prompt).not_to_have_text(before)
        self.ended(index)
        return self.output(index)

    def begin(self, index: int) -> None:
        """Run a cell, and wait for nothing."""
        self.cells.nth(index).get_by_role("textbox").click()
        # By the command and not the keyboard, which goes wherever a JupyterLab that is still starting moves the focus.
        self._page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")

    def ended(self, index: int) -> None:
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
    """Our panel."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.region = page.get_by_role("region", name="GPU models")
        self.alert = self.region.get_by_role("alert")
        self.form = self.region.get_by_role("form", name="Load a model")
        self.status_bar = page.locator(".gpumodels-StatusBar").get_by_role("button")
        #: What the feed told, since this was made.
        self.heard: list[str | bytes] = []
        self._tab = page.get_by_role("tab", name="GPU models")
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        if "/gpumodels/api/feed" in socket.url:
            socket.on("framereceived", lambda said: self.heard.append(said))  # noqa: PLW0108  a plain function

    def toggle(self) -> None:
        self._tab.click()

    def section(self, name: str) -> Locator:
        return self.region.get_by_role("region", name=name)

    def memory(self, index: int) -> Locator:
        """The bar of a GPU's memory."""
        return self.region.get_by_role("article", name=f"GPU {index}").get_by_role("img", name="in use")

    def group(self, name: str) -> Locator:
        """The models of a notebook, named by its file and "(this notebook)" if it is that."""
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
        """Choose what the form shall load."""
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
