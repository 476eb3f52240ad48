"""docs/rest.md: its examples run unchanged against a real Jupyter server, and it lists every route."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gpumodels.jupyter.routes import ROUTES
from tests.leftovers import ROOT, until

PAGE = (ROOT / "docs" / "rest.md").read_text()


def _examples(page):
    """Yield the commands of a page in order: its shell lines, and a command that runs each Python block."""
    for kind, block in re.findall(r"^```(console|python)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if kind == "python":
            yield f"{sys.executable} - <<'END'\n{block}END"
        else:
            yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))


@pytest.fixture
def server(tmp_path, runtime_path):
    """A Jupyter server with a base_url: its address and its token."""
    home, token = tmp_path / "jupyter", secrets.token_hex(8)
    home.mkdir()
    directories = {name: str(home / name.lower()) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    settings = {"GPUMODELS_ENGINE": "fake", "GPUMODELS_MODELS": str(ROOT / "notebooks" / "models")}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home}", "--ServerApp.ip=127.0.0.1"]
    command += ["--ServerApp.base_url=/user/ada/", "--ServerApp.jpserver_extensions={'gpumodels': True}"]
    env = {**os.environ, **directories, **settings, "PYTHONPATH": str(ROOT), "JUPYTER_NO_CONFIG": "1"}
    with (home / "log").open("wb") as log:
        running = subprocess.Popen(command, env=env, cwd=home, stdout=log, stderr=log)
    try:
        (written,) = until(
            lambda: list(filter(None, map(Path.read_text, (home / "jupyter_runtime_dir").glob("jpserver-*.json")))), 60
        )  # the file exists before its content is written
        yield json.loads(written)["url"].rstrip("/"), token
    finally:
        running.terminate()
        running.wait(60)


def test_every_example_runs(server, tmp_path):
    url, token = server
    directory = tmp_path / "work"
    directory.mkdir()
    for name in ("photo.jpg", "other.jpg"):
        Image.new("RGB", (32, 24), "white").save(directory / name)
    env = {**os.environ, "JUPYTER": url, "TOKEN": token, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    listening = 'until curl -s -o /dev/null "$JUPYTER/api"; do sleep 0.1; done'
    script = "\n".join(["set -e", listening, *_examples(PAGE)])
    ran = subprocess.run(
        ["bash", "-xc", script], cwd=directory, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    for line in re.findall(r"^(?!\$ )(\S.*)$", "".join(_consoles()), re.MULTILINE):
        assert re.sub("echo-[0-9a-f]+", "", line) in re.sub("echo-[0-9a-f]+", "", ran.stdout), line
    assert (directory / "auth").stat().st_mode & 0o77 == 0
    assert len(json.loads((directory / "painted.json").read_text())) == 24
    assert len(json.loads((directory / "both.json").read_text())) == 2
    assert (directory / "answer").read_bytes().endswith(b"}\1\2\3\4")


def _consoles():
    return re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_route_is_on_the_page():
    page = PAGE.replace("$ID", "ID")
    missing = []
    for path, _ in ROUTES:
        wanted = re.sub(r"^api/", "", path).format(instance="ID", load="ID", name="NAME", version="1", what="live")
        if "versions/" not in path and not re.search(re.escape(wanted).replace("NAME", r"(NAME|\w+)"), page):
            missing.append(path)
    assert missing == []
