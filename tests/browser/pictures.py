"""Take the pictures of docs/pictures/ in a real JupyterLab: `python -m tests.browser.pictures [DIRECTORY]`.

The GPUs are made up, and the models are `echo` under other names. If this runs as root, a process of another user is
among the holders of memory.
"""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, QUIET
from tests.browser.pages import KERNEL_IDLE, Notebook, Sidebar
from tests.browser.server import ROOT, Lab
from tests.fakes.nvml import GB

if TYPE_CHECKING:
    from collections.abc import Iterator

SUMMARIES = {
    "detector": "Finds lines of text in photos",
    "reader": "Reads one line of text in a photo",
    "depth": "Tells how far away each pixel is",
    "upscaler": "Makes a photo four times as large",
    "captioner": "Describes a photo in a sentence",
}
MEMORY = {"detector": "12 GB", "reader": "6 GB", "depth": "9 GB", "upscaler": "20 GB", "captioner": "14 GB"}
#: The weights of the captioner. `slow_index` never sends more than a part of them, so the load stays in progress.
WEIGHTS = """
[[weights]]
file = "captioner.pth"
source = "pypi:captioner==1.0"
member = "captioner-1.0/captioner.pth"
sha256 = "{0}"
archive = "{0}"
licence = "MIT"
provenance = "none: there is no such model"
""".format(64 * "0")
FAILURE = "weights/upscaler.safetensors: size mismatch for conv1: (64, 3, 7, 7) and (64, 4, 7, 7)"
SIZE, SENT = 300_000_000, 190_000_000  # bytes

SIGNS = (
    "%load_ext gpumodels\n%load_model detector --gpu 0 --engine process\n%load_model reader --gpu 1 --engine process",
    "photos = ['harbour.jpg', 'market.jpg'] * 300\nlines = {photo: detector(photo) for photo in photos}\nlines",
    "for photo in sorted(lines):\n    print(reader(photo))",
    "%gpus",
)
FAILS = "%load_model upscaler --gpu 0 --engine process --env ECHO_LOAD=fail"
STREET = (
    "%load_ext gpumodels\n%load_model depth --gpu 1 --engine process\ndepth('street.jpg');",
    FAILS,
    "%load_model captioner --gpu 0 --engine process",
)


class _Index(BaseHTTPRequestHandler):
    """A package index with one archive. Its download never ends."""

    def do_GET(self) -> None:
        archive = self.path.endswith(".gz")
        page = b'<a href="captioner-1.0.tar.gz">captioner-1.0.tar.gz</a>'
        self.send_response(200)
        self.send_header("Content-Type", "application/gzip" if archive else "text/html")
        self.send_header("Content-Length", str(SIZE if archive else len(page)))
        self.end_headers()
        self.wfile.write(bytes(SENT) if archive else page)
        with suppress(OSError):
            while archive:
                self.wfile.write(bytes(10_000))  # a download without data for a minute fails
                time.sleep(1)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def slow_index() -> Iterator[str]:
    """Serve a package index with an endless archive. Yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()


def write_models(folder: Path) -> None:
    """Write copies of `echo` under other names."""
    toml = (ROOT / "images" / "echo" / "model.toml").read_text()
    code = (ROOT / "images" / "echo" / "model.py").read_text()
    for name, summary in SUMMARIES.items():
        more = WEIGHTS if name == "captioner" else ""
        renamed = toml.replace('"echo"', f'"{name}"\nmemory = "{MEMORY[name]}"', 1)
        (folder / name).mkdir(parents=True)
        (folder / name / "model.toml").write_text(re.sub("(?m)^summary = .*", f'summary = "{summary}"', renamed) + more)
        (folder / name / "model.py").write_text(code.replace("echo was told to fail in load", FAILURE))


class Scene:
    """JupyterLab with two GPUs and several notebooks that hold them."""

    def __init__(self, lab: Lab, page: Page) -> None:
        self._lab = lab
        self._page = page
        self._notebook = Notebook(page)
        self.sidebar = Sidebar(page)

    def play(self) -> None:
        """Load the models and call them, until everything is as in the pictures."""
        self._open("train.ipynb", "step = 0")
        self._hold_by_kernel(22 * GB, device=1)
        self._open("street.ipynb", *STREET)
        self._notebook.run(0)
        self._lab.hold("depth", 9 * GB, device=1)
        self.sidebar.toggle()
        self.sidebar.button("Put depth to sleep").click()
        expect(self.sidebar.model("depth")).to_contain_text("asleep")
        self._notebook.run(1)
        self._notebook.begin(2)
        self._open("signs.ipynb", *SIGNS)
        self._notebook.run(0)
        self._lab.hold("detector", 12 * GB)
        self._lab.hold("reader", 6 * GB, device=1)
        self.sidebar.choose("captioner", GPU="1")
        self._work()
        for index in (1, 2, 3):
            self._notebook.run(index)
        self.sidebar.region.evaluate("panel => panel.scrollTo(0, 0)")

    def _work(self) -> None:
        """Change the utilisation and power of the GPUs for a while, so that their graphs have a line."""
        for moment in range(45):
            busy = (70 + 25 * math.sin(moment / 4), 45 + 40 * math.sin(moment / 7 + 1))
            for index, (utilisation, most) in enumerate(zip(busy, (700, 400), strict=True)):
                watts = 1000 * most * (0.15 + 0.6 * utilisation / 100)
                self._lab.gpus.change(index, utilisation=round(utilisation), power=round(watts))
            self._page.wait_for_timeout(1000)

    def _open(self, name: str, *cells: str) -> None:
        self._lab.write(name, *cells)
        self._page.evaluate("path => void jupyterapp.commands.execute('docmanager:open', { path })", name)
        expect(self._page.get_by_role("tab", name=name, selected=True)).to_be_visible()
        self._page.wait_for_function(KERNEL_IDLE, timeout=60_000)

    def _hold_by_kernel(self, memory: int, device: int) -> None:
        (kernel,) = self._lab.get("gpumodels/api/state")["kernels"].values()
        self._lab.gpus.hold(kernel["pid"], memory, device)


@contextmanager
def another_user() -> Iterator[int | None]:
    """Run a process of another user. Yield its id; None if this process is not root."""
    if os.geteuid():
        yield None
        return
    with subprocess.Popen(["sleep", "1000"], user=65534) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def take(browser: Browser, lab: Lab, into: Path) -> None:
    """Take pictures of the whole window and of the sidebar alone, in both themes."""
    page = browser.new_page(viewport={"width": 1280, "height": 820}, device_scale_factor=2)
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(lab.address())
    expect(page.locator(".jp-Launcher")).to_be_focused()
    scene = Scene(lab, page)
    scene.play()
    for theme in ("Light", "Dark"):
        page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{ theme: 'JupyterLab {theme}' }})")
        page.wait_for_timeout(3000)
        save(page.screenshot(), into / f"lab-{theme.lower()}.png")
        tall = scene.sidebar.region.evaluate("panel => panel.scrollHeight") + 60
        page.set_viewport_size({"width": 1280, "height": tall})
        page.wait_for_timeout(1000)
        save(scene.sidebar.region.screenshot(), into / f"panel-{theme.lower()}.png")
        page.set_viewport_size({"width": 1280, "height": 820})
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    page.close()


def save(picture: bytes, path: Path) -> None:
    """Save a picture as a PNG of few colours, which is small."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201  (the output of a script)


def main() -> None:
    """Take all pictures. The first argument of the command line is the directory for them."""
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    into.mkdir(exist_ok=True)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (home / "notebooks").mkdir()
        write_models(home / "catalog")
        os.environ["GPUMODELS_MODELS"] = str(home / "catalog")
        os.environ["GPUMODELS_INDEX_URL"] = stack.enter_context(slow_index())
        lab = Lab(home, home / "notebooks")
        stack.callback(lab.stop)
        lab.start()
        if (pid := stack.enter_context(another_user())) is not None:
            lab.gpus.hold(pid, 17 * GB)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=QUIET)
        stack.callback(browser.close)
        take(browser, lab, into)


if __name__ == "__main__":
    main()
