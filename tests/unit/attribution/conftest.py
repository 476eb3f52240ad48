"""Machines with fake GPUs, and real processes that hold their memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gpumodels.attribution import Holders, Look, Sampler
from gpumodels.lease.record import InstanceRecord, Owner

STAY = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def process():
    """A function that starts a process: `process("words", "of the command line", VARIABLE="...")`.

    The process runs until the end of the test. Its `first_line` is the first line that it printed.
    """
    begun = []

    def begin(*words, code=STAY, user=None, **environment):
        # Other users may have no access to an interpreter in this user's home.
        program = [sys.executable, "-c", code] if user is None else ["/bin/sh", "-c", "echo; read forever"]
        environment["PATH"] = os.environ["PATH"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        begun.append(subprocess.Popen([*program, *words], env=environment, user=user, text=True, **pipes))
        begun[-1].first_line = begun[-1].stdout.readline().strip()
        return begun[-1]

    yield begin
    for each in begun:
        each.kill()
        each.communicate()


@pytest.fixture
def record():
    """A function that returns the record of an instance that a notebook loaded."""

    def make(instance="ctpn-1a2b", model="ctpn", **more):
        owner = Owner(more.pop("owner", 1), "kernel-id", "/home/me/demo.ipynb")
        return InstanceRecord(instance, model, "docker", owner, created=0.0, **more)

    return make


@pytest.fixture
def holder():
    """A function that returns the holder of a process, while the instances of the given records run."""
    return lambda pid, *records: Holders(Look(), records).holder(pid)


@pytest.fixture
def usage():
    """A function that takes a sample of all devices, while the instances of the given records run."""
    return lambda *records: Sampler(lambda: records).now()
