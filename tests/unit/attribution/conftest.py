"""Machines with GPUs that do not exist, and real processes that hold them."""

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
    """`process("words", "of its command line", MARK="...")` is a process that stays, and `said` its first line."""
    begun = []

    def begin(*words, code=STAY, user=None, **environment):
        # Other users may not be able to run an interpreter in this user's home.
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
    """The record of an instance that somebody's notebook loaded."""

    def make(instance="ctpn-1a2b", model="ctpn", **more):
        owner = Owner(more.pop("owner", 1), "kernel-id", "/home/me/demo.ipynb")
        return InstanceRecord(instance, model, "docker", owner, created=0.0, **more)

    return make


@pytest.fixture
def holder():
    """Who a process belongs to, where such instances run, as somebody sees it who looks for the first time."""
    return lambda pid, *records: Holders(Look(), records).holder(pid)


@pytest.fixture
def usage():
    """All devices, where such instances run."""
    return lambda *records: Sampler(lambda: records).now()
