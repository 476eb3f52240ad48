"""Fixtures: instances without models, made of directories, leases and leashes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpumodels.lease.record import InstanceRecord, Owner
from tests.leftovers import ROOT, until


def new_id(name="echo"):
    """Return an id that is new on this machine, because processes are found and killed by it."""
    return f"{name}-{secrets.token_hex(5)}"


@pytest.fixture
def record():
    """A function that makes records."""

    def make(instance_id="", **fields):
        given = {"model": "echo", "engine": "process", "nonce": "proof", "created": time.time(), **fields}
        return InstanceRecord(id=instance_id or new_id(), owner=Owner(os.getpid()), **given)

    return make


@pytest.fixture
def create(runtime, record):
    """A function that makes an instance in the runtime directory. This process holds it."""

    def make(instance_id="", **fields):
        return runtime.create(record(instance_id, **fields))

    return make


class Leash:
    """A real leash with `code` as its Python server."""

    def __init__(self, lease_file, code, *options, nonce="proof", prefix=(), python=sys.executable, **popen):
        self.process = subprocess.Popen(
            [
                *prefix, python, "-m", "gpumodels.lease.leash", "--lease", str(lease_file), "--nonce", nonce,
                *options, "--", python, "-uc", code,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), **popen.pop("env", {})},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **popen,
        )  # fmt: skip
        self.pid = self.process.pid

    def line(self):
        """Return the next line that the server or the leash prints."""
        return self.process.stdout.readline().strip()

    def wait(self, within=10.0):
        """Wait until the leash has ended, and return its exit code."""
        return self.process.wait(within)

    @property
    def inner(self):
        """The process id of the leash inside the PID namespace."""
        return until(lambda: children(self.pid))[0]


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def leash():
    """A function that starts leashes; they are ended after the test."""
    started = []

    def start(lease_file, code="print('up'); import time; time.sleep(60)", *options, **more):
        started.append(Leash(lease_file, code, *options, **more))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
