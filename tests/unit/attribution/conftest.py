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
    """Start processes that stay: `process("words", "of its command line", MARK="...")`.

    `said` of a process is the first line that it printed.
    """
    begun = []

    def begin(*words, code=STAY, user=None, **environment):
        # Other users may have no access to an interpreter in this user's home.
        program = [sys.executable, "-c", code] if user is None else ["/bin/sh", "-c", "echo; read forever"]
        environment["PATH"] = os.environ["PATH"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        begun.append(subprocess.Popen([*program, *words], env=environment, user=user, text=True, **pipes))
        begun[-1].said = begun[-1].stdout.readline().strip()
        return begun[-1]

    yield begin
    for each in begun:
        each.kill()
        each.communicate()


@pytest.fixture
def record():
    """Make the record of an instance that a notebook loaded."""

    def make(instance="ctpn-1a2b", model="ctpn", **more):
        owner = Owner(more.pop("owner", 1), "kernel-id", "/home/me/demo.ipynb")
        return InstanceRecord(instance, model, "docker", owner, created=0.0, **more)

    return make


@pytest.fixture
def holder():
    """Return the holder of a process, by a first look, where the given instances run."""
    return lambda pid, *records: Holders(Look(), records).holder(pid)


@pytest.fixture
def usage():
    """Sample all devices, where the given instances run."""
    return lambda *records: Sampler(lambda: records).now()
