"""Real kernels, as a Jupyter server starts them, that load models and die."""

from __future__ import annotations

import ast
import os
import signal

import pytest
from jupyter_client.manager import KernelManager

from tests.leftovers import ROOT, Leftovers, until

_LOAD = "%load_ext gpumodels\nimport gpumodels; model = gpumodels.load('echo', gpu='none', engine={!r}, {})"


@pytest.fixture(params=["docker", "process"])
def engine_name(request):
    return request.param


@pytest.fixture
def leftovers(runtime_path):
    return Leftovers(runtime_path, containers=True)


class Kernel:
    """A kernel, which was started before the test that uses it, and its client."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.client = self.manager.client()
        self.client.start_channels()

    def set_up(self, cwd):
        """Give the kernel the working directory and the environment of the test."""
        self.cwd = cwd
        self.client.wait_for_ready(60)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.manager._launch_args.update(cwd=str(cwd), env=environment)  # for a restart
        self.run(f"import os; os.chdir({str(cwd)!r}); os.environ.clear(); os.environ.update({environment!r})")
        return self

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def run(self, code):
        """Run a cell, wait for its end and return what it printed. An error in it fails the test."""
        return run(self.client, code)

    def begin(self, code):
        """Begin to run a cell, without waiting for its end, which may never come."""
        self.client.execute(f"open('begun', 'w').close()\n{code}")
        until((self.cwd / "begun").exists)

    def load(self, engine, behaviour="", **options):
        """Load echo as `model`; `options` go to `gpumodels.load`."""
        self.run(f"{loading(engine, behaviour, **options)}; assert model(1) == 1")

    def begin_load(self, engine, behaviour=""):
        self.begin(loading(engine, behaviour))

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def guards(self):
        """Return the process ids of the kernel's guards. Each guard leads a session."""
        return ast.literal_eval(
            self.run("from gpumodels.lease import guard; print([each.pid for each in guard._guards.values()])")
        )

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.term()


def loading(engine, behaviour="", **options):
    """Return the code of a cell that loads echo as `model`."""
    given = {"env": {"ECHO_LOAD": behaviour}, **options}
    return _LOAD.format(engine, ", ".join(f"{name}={value!r}" for name, value in given.items()))


def run(client, code):
    """Run a cell through the client of a kernel; see `Kernel.run`."""
    printed = []

    def collect(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=collect, store_history=False)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
    return "".join(printed).strip()


@pytest.fixture(scope="session")
def spare():
    """A function that returns a kernel. It always has the next kernel starting already, to save time."""
    waiting = [Kernel()]

    def take():
        waiting.append(Kernel())
        return waiting.pop(0)

    yield take
    waiting.pop().close()


@pytest.fixture
def make_kernel(spare, tmp_path, runtime_path):
    """A function that makes kernels, one for each notebook of a test."""
    made = []

    def make():
        directory = tmp_path / f"notebook-{len(made)}"
        directory.mkdir()
        made.append(spare())
        return made[-1].set_up(directory)

    yield make
    for each in made:
        each.close()


@pytest.fixture
def kernel(make_kernel):
    return make_kernel()
