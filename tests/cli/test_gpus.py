"""The command `gpus`, on a machine with fake GPUs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import pytest

from tests.cli.conftest import COMMAND, environment
from tests.cli.test_output import in_terminal
from tests.fakes.nvml import GB, gpu, machine


@pytest.fixture
def there(tmp_path):
    """A fake machine with two GPUs. This process uses the first; the second is lost."""
    made = machine(tmp_path / "machine.json", gpu(utilisation=35), gpu("NVIDIA A100", 40 * GB, lost=True))
    made.hold(os.getpid(), 3 * GB)
    return made


def test_gpus_are_printed_with_the_holders_of_their_memory(cli, there):
    said = cli("gpus", env=there.environment()).ok()
    assert "  3.0 GB / 80.0 GB · 35 % busy\n" in said
    assert f"(pid {os.getpid()})\n" in said
    assert "it has fallen off the bus" in said
    assert "\x1b" not in said


def test_a_terminal_gets_colours(there):
    said, status = in_terminal("gpus", **there.environment())
    assert status == 0
    assert "\x1b[" in said
    assert "3.0 GB / 80.0 GB" in said


def test_watch_shows_changes_until_it_gets_a_signal(begin, there):
    watching = begin("gpus", "--watch", env=there.environment())
    watching.read_until("3.0 GB / 80.0 GB")
    there.change(0, used=4 * GB)
    watching.read_until("7.0 GB / 80.0 GB")
    watching.read_until("4.0 GB  unaccounted")
    status, printed = watching.end(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in printed


def test_watch_as_json_prints_a_line_for_each_look(begin, there):
    watching = begin("gpus", "--watch", "--json", env=there.environment())
    first, second = (json.loads(watching.read_until('"moment"')) for _ in range(2))
    assert second["moment"] > first["moment"]
    assert [share["pids"] for share in first["devices"][0]["shares"]] == [[os.getpid()]]
    assert first["devices"][1]["trouble"]


def test_watch_redraws_the_picture_in_a_terminal(there):
    ours, theirs = pty.openpty()
    settings = environment(TERM="xterm-256color", COLUMNS="120", **there.environment())
    watching = subprocess.Popen([*COMMAND, "gpus", "-w"], env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        _read_until(ours, "3.0 GB / 80.0 GB")
        there.change(0, used=4 * GB)
        assert "\x1b[1A" in _read_until(ours, "7.0 GB / 80.0 GB")  # the cursor goes up, to draw over the old picture
    finally:
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
        os.close(ours)


def _read_until(terminal, text):
    printed = ""
    while text not in printed:
        printed += os.read(terminal, 1 << 16).decode(errors="replace")
    return printed
