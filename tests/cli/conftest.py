"""Fixtures that run the command line in another process, with a runtime directory of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

import gpumodels
from tests.leftovers import ROOT, Leftovers

COMMAND = [sys.executable, "-m", "gpumodels.cli"]
#: The fake engine runs the real model server with this Python. It needs no Docker and no environment of its own.
FAKE = ("--engine", "fake", "--gpu", "none")


@dataclass
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def ok(self):
        assert self.status == 0, self
        return self.out

    def refused(self, status=1):
        """Return the error message, and check that it is the only line that was printed."""
        assert (self.status, self.out, self.err.count("\n")) == (status, "", 1), self
        assert self.err.startswith("gpumodels: ")
        return self.err.removeprefix("gpumodels: ").strip()


def environment(**settings):
    wanted = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning", **settings}
    return {name: value for name, value in wanted.items() if value is not None}


@pytest.fixture
def cli(tmp_path):
    """A function that runs a command to its end: `cli("ps", "--json")`."""

    def run(*words, env=None, stdin=subprocess.DEVNULL, **options):
        ran = subprocess.run(
            [*COMMAND, *map(str, words)], env=environment(**(env or {})), cwd=options.pop("cwd", tmp_path),
            capture_output=True, text=True, timeout=120, check=False, stdin=stdin, **options,
        )  # fmt: skip
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run


class Running:
    """A command that runs until it gets a signal."""

    def __init__(self, words, cwd, env=None):
        self.lines = []
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)], env=environment(**(env or {})), cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def read_until(self, text):
        """Read lines until one contains `text`, and return that line."""
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} did not come: {''.join(self.lines)}")

    def end(self, with_signal=None):
        """Send the signal, wait, and return the exit status and all that was printed."""
        if with_signal is not None:
            self.process.send_signal(with_signal)
        rest = self.process.stdout.read()
        return self.process.wait(60), "".join(self.lines) + rest

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture
def begin(tmp_path):
    """A function that starts a command and does not wait for its end: `begin("run", "echo")`."""
    begun = []

    def run(*words, env=None):
        begun.append(Running(words, tmp_path, env))
        return begun[-1]

    yield run
    for each in begun:
        each.close()


@pytest.fixture
def held(begin):
    """A function that starts `gpumodels run` and returns the id of its model: `held("echo")`."""

    def run(name="echo", *options):
        line = begin("run", name, *FAKE, *options).read_until(" is ready on ")
        return line.partition("(")[2].partition(")")[0]

    return run


@pytest.fixture
def echo():
    """A model that the process of the test loaded."""
    with gpumodels.load("echo", gpu="none", engine="fake") as model:
        yield model


@pytest.fixture
def nothing_left(runtime_path):
    """A function that fails unless all processes, containers and files of the test are gone within 20 s."""
    leftovers = Leftovers(runtime_path, containers=True)
    return lambda: leftovers.wait(20)
