"""Real kernels, as a Jupyter server starts them, that load a model and die."""

from __future__ import annotations

import os

import pytest
from jupyter_client.manager import KernelManager

from tests.leftovers import ROOT, Leftovers, until

_LOAD = "import gpumodels; model = gpumodels.load('echo', gpu='none', engine={!r}, env={{'ECHO_LOAD': {!r}}})"


@pytest.fixture(params=["docker", "process"])
def engine_name(request):
    return request.param


@pytest.fixture
def leftovers(runtime_path):
    return Leftovers(runtime_path, containers=True)


class Kernel:
    """A kernel and a client of it."""

    def __init__(self, cwd):
        self.cwd = cwd
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(cwd), env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(60)

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def run(self, code):
        """Run a cell and wait for its end; an error in it fails the test. What it printed."""
        printed = []

        def hear(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=120, output_hook=hear, store_history=False)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(printed).strip()

    def begin(self, code):
        """Run a cell without waiting for its end: it may never come."""
        self.client.execute(f"open('begun', 'w').close()\n{code}")
        until((self.cwd / "begun").exists)

    def load(self, engine, behaviour=""):
        self.run(f"%load_ext gpumodels\n{_LOAD.format(engine, behaviour)}; assert model(1) == 1")

    def begin_load(self, engine, behaviour):
        self.begin(f"%load_ext gpumodels\n{_LOAD.format(engine, behaviour)}")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.term()


@pytest.fixture
def kernel(tmp_path, runtime_path):
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()
