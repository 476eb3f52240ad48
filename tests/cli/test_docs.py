"""The page docs/command-line.md: its examples run as they are, and it names every command and every JSON key."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from PIL import Image

from tests.cli.conftest import environment
from tests.cli.test_output import COMMANDS
from tests.leftovers import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text()
EXAMPLES = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
_READY = "until gpumodels ps | grep -q ready; do sleep 0.1; done"


def test_every_example_runs(tmp_path):
    shim = tmp_path / "bin" / "gpumodels"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m gpumodels.cli "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (320, 240), "white").save(tmp_path / "photo.jpg")
    lines = [f"{line}\n{_READY}" if line.endswith("&") else line for line in EXAMPLES]
    script = "\n".join(["set -e", *lines]).replace("/tmp/elsewhere", str(tmp_path / "elsewhere"))
    settings = environment(PATH=f"{shim.parent}:/usr/bin:/bin", GPUMODELS_ENGINE="fake")
    ran = subprocess.run(
        ["bash", "-xc", script], cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (tmp_path / "found.png").is_file()
    assert (tmp_path / "elsewhere" / "my-model" / "model.toml").is_file()


def test_every_command_has_an_example():
    shown = " ".join(re.findall(r"```(?:console|sh)\n(.*?)```", PAGE, re.DOTALL))
    assert [command for command in COMMANDS if f"gpumodels {command}" not in shown] == []


def test_every_key_of_the_json_is_described(cli, echo):
    (listed,) = json.loads(cli("ps", "--json").ok())
    table = PAGE.partition("these keys stay:")[2].partition("## logs")[0]
    described = {
        key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert described - {"key"} == set(listed)
