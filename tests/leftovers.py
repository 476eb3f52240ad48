"""Helpers: the leftovers of gpumodels in a runtime directory, another process that runs code, and waiting."""

from __future__ import annotations

import ast
import gc
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import docker

from gpumodels.lease.processes import same_process
from tests.parts import docker_answers

ROOT = Path(__file__).parents[1]


class Leftovers:
    """The leftovers in the runtime directory `path`: directories, stale notes, shared memory, processes, containers."""

    def __init__(self, path, *, containers=False):
        self.path = Path(path)
        self._containers = containers

    def __call__(self):
        found = [*self.directories(), *self.notes(), *self.shared_memory(), *self.processes()]
        return [*found, *self.containers()] if self._containers else found

    def directories(self):
        with suppress(FileNotFoundError):
            return [str(each) for each in self.path.iterdir() if each.is_dir()]
        return []

    def notes(self):
        """Return the notes of processes that have ended, and half-written ones."""
        found = []
        for path in self.path.glob(".*-*.json*"):
            with suppress(FileNotFoundError):
                by = _author(path.read_text())
                if by is not None and not same_process(*by):
                    found.append(str(path))
        return found

    def shared_memory(self):
        with suppress(FileNotFoundError):
            identity = (self.path / ".identity").read_text()
            return [str(each) for each in Path("/dev/shm").glob(f"gpumodels-*/{identity}-*")]
        return []

    def processes(self):
        """Return the leashes, servers and guards that name the runtime directory in command line or environment."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    command = (entry / "cmdline").read_bytes()
                    if b"gpumodels." in command and self._is_named_in(command + (entry / "environ").read_bytes()):
                        words = command.decode(errors="replace").split("\0")
                        found.append(f"{entry.name} {' '.join(words)[:100]}")
        return found

    def _is_named_in(self, text):
        return os.fsencode(self.path) in text

    def containers(self):
        if not docker_answers():
            return []
        client = docker.from_env()
        try:
            found = client.containers.list(all=True, filters={"label": f"gpumodels.runtime={self.path}"}, sparse=True)
            return [f"container {each.attrs['Names']} {each.attrs['State']}" for each in found]
        finally:
            client.close()

    def wait(self, within=10.0):
        """Wait until nothing is left, and return the seconds that it took. Fail after `within` seconds."""
        began = time.monotonic()
        while found := self():
            assert time.monotonic() - began < within, f"left after {within} s: {found}"
            time.sleep(0.02)
        return time.monotonic() - began


def _author(note):
    """Return the process id and start time of a note's writer; None for a lasting note."""
    try:
        return json.loads(note)["by"]
    except ValueError:
        return 0, 0


_PUPPET = """
import sys
space = {}
for line in sys.stdin:
    code = eval(line)
    try:
        answer = eval(code, space)
    except SyntaxError:
        answer = exec(code, space)
    print("=" + repr(answer), flush=True)
"""


def descriptors(kind=""):
    """Return the open descriptors of this process: number and target, of those with `kind` in the target.

    Compare two results to see which files a test opened. The garbage collector and threads may open and close files of
    earlier tests at any time (gRPC goes on connecting to a server that is gone).
    """
    gc.collect()
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing
            found.add((entry.name, str(entry.readlink())))
    return {each for each in found if kind in each[1]}


class Puppet:
    """Another Python process that runs the code that a test sends, and returns its results."""

    def __init__(self, python=sys.executable, **options):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        self.process = subprocess.Popen(
            [python, "-c", _PUPPET],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self.pid = self.process.pid

    def tell(self, code):
        """Send `code` to run, without waiting for it."""
        self.process.stdin.write(repr(code) + "\n")
        self.process.stdin.flush()

    def answer(self):
        """Wait for the code that was sent last, and return its result."""
        while line := self.process.stdout.readline():
            if line.startswith("="):
                return ast.literal_eval(line[1:])
        raise AssertionError("the puppet died")

    def do(self, code):
        self.tell(code)
        return self.answer()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


def until(condition, within=10.0):
    """Wait until `condition()` is true, and return its result. Fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, f"did not come true within {within} s"
        time.sleep(0.005)
    return found
