"""Ends of kernels of every kind. Nothing of their models is left: no container, process, directory, shared memory."""

from __future__ import annotations

import os
import signal
import time

import pytest

from gpumodels import devices
from gpumodels.lease.held import LeaseState
from gpumodels.lease.processes import of_instance
from tests.fakes.nvml import GB, gpu
from tests.leftovers import until
from tests.memory import bounded_memory

#: Seconds until everything must be gone, on a machine that runs other tests. On an idle machine it takes less than two.
WITHIN = 15.0


def shut_down(kernel):
    kernel.manager.shutdown_kernel(now=False)


def restart(kernel):
    kernel.manager.restart_kernel(now=False)


def sigterm(kernel):
    kernel.kill(signal.SIGTERM)


def sigkill(kernel):
    kernel.kill()


def os_exit(kernel):
    kernel.begin("import os; os._exit(1)")


def segfault(kernel):
    kernel.begin("import ctypes; ctypes.string_at(0)")


def busy_in_c(kernel):
    """Kill a kernel that holds the GIL in C code, so that no Python code runs in it any more."""
    kernel.begin("import ctypes; ctypes.PyDLL(None).sleep(600)")
    time.sleep(0.1)
    kernel.kill()


def call_in_flight(kernel):
    kernel.begin("model(1, sleep=600.0)")
    time.sleep(0.2)
    kernel.kill()


def forked_child_alive(kernel):
    _with_child(kernel, "fork")


def spawned_child_alive(kernel):
    _with_child(kernel, "spawn")


def _with_child(kernel, method):
    """Kill a kernel with a `multiprocessing` child that inherited the model, or at least the environment."""
    child = int(
        kernel.run(
            "import multiprocessing, time\n"
            f"child = multiprocessing.get_context({method!r}).Process(target=time.sleep, args=(600,))\n"
            "child.start(); print(child.pid)"
        )
    )
    kernel.orphans.append(child)
    kernel.kill()


def process_group(kernel):
    os.killpg(os.getpgid(kernel.pid), signal.SIGKILL)


DEATHS = [
    shut_down, restart, sigterm, sigkill, os_exit, segfault, busy_in_c, call_in_flight, forked_child_alive,
    spawned_child_alive, process_group,
]  # fmt: skip


@pytest.fixture(autouse=True)
def orphans(kernel):
    """Kill the children that outlived the kernel. They must still live when the model is gone."""
    kernel.orphans = []
    yield
    for pid in kernel.orphans:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.__name__)
def test_nothing_is_left_of(death, kernel, engine_name, leftovers, record_property):
    kernel.load(engine_name)
    assert leftovers.directories()
    assert leftovers.processes()
    assert leftovers.shared_memory()
    if engine_name == "docker":
        assert leftovers.containers()
    death(kernel)
    record_property("seconds", leftovers.wait(WITHIN))


def test_a_stopped_kernel_keeps_its_model_until_it_is_killed(kernel, engine_name, leftovers, runtime):
    # A kernel that got SIGSTOP may go on: a user who debugs or suspends a notebook wants to keep its models.
    kernel.load(engine_name)
    directory = runtime.instances()[0]
    kernel.kill(signal.SIGSTOP)
    time.sleep(0.5)
    assert directory.lease_state is LeaseState.HELD
    assert directory.leash_lives
    kernel.kill()
    leftovers.wait(WITHIN)


@pytest.mark.memory_cgroup
def test_nothing_is_left_when_the_system_kills_the_kernel_for_want_of_memory(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    with bounded_memory(kernel.pid, 400 << 20) as killed:
        kernel.begin("b'x' * (1 << 30)")
        leftovers.wait(WITHIN)
        assert killed() == 1


def test_the_gpu_s_memory_is_back(kernel, engine_name, leftovers, runtime, build):
    # A fake driver reports the memory. It counts the processes that live.
    gpus = build(gpu(memory=80 * GB))
    kernel.load(engine_name)
    for pid in of_instance(runtime.instances()[0].id):
        gpus.hold(pid, GB)
    free = devices.snapshot(devices.devices()[0]).memory_free
    assert free <= 78 * GB
    kernel.kill()
    leftovers.wait(WITHIN)
    assert devices.snapshot(devices.devices()[0]).memory_free >= free + 2 * GB


_DIE = "import os, signal; die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
_DIE_AFTERWARDS = "run = Engine.start; Engine.start = lambda *given: die(run(*given))"
_ENGINES = {
    "docker": "from gpumodels.engines.docker.engine import DockerEngine as Engine\n",
    "process": "from gpumodels.engines.process import ProcessEngine as Engine\n",
}
_CREATED = {
    "docker": "from docker.api.container import ContainerApiMixin; ContainerApiMixin.start = die",
    "process": "from gpumodels.lease import processes; processes.start_time = die",
}
#: The code that a kernel runs, by the stage of the load during which the kernel is killed.
STAGES = {
    "before_create": lambda _: "Engine.start = die",
    "created": _CREATED.get,
    "started": lambda _: _DIE_AFTERWARDS,
    "ready": lambda _: "from gpumodels.client import Client; Client.signature = die",
}


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_left_of_a_load_that_was_killed(stage, kernel, engine_name, leftovers, runtime):
    kernel.run(_DIE + _ENGINES[engine_name] + STAGES[stage](engine_name))
    kernel.begin_load(engine_name)
    until(lambda: not kernel.manager.is_alive(), within=60)
    leftovers.wait(WITHIN)


def test_nothing_is_left_of_a_load_that_was_killed_while_loading(kernel, engine_name, leftovers, runtime):
    # The server runs the author's `load`.
    kernel.begin_load(engine_name, "sleep:600")
    until(lambda: [each for each in runtime.instances() if each.leash_lives], within=60)
    time.sleep(0.3)
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_model_that_ignores_sigterm_ends_with_its_kernel(kernel, engine_name, leftovers):
    kernel.load(engine_name, "ignore-sigterm")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_server_with_a_forked_child_of_its_own_ends_with_its_kernel(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    kernel.run("model(1, fork=600.0)")
    kernel.kill()
    leftovers.wait(WITHIN)
