"""However a kernel ends, nothing of its models is left: no container, process, directory or shared memory."""

from __future__ import annotations

import os
import signal
import time

import pytest

import gpumodels
from tests.leftovers import until

#: How long nothing may be left, in seconds, on a machine that is busy with other tests; alone it takes well under one.
WITHIN = 10.0


def shut_down(kernel):
    kernel.manager.shutdown_kernel(now=False)


def restart(kernel):
    kernel.manager.restart_kernel(now=False)


def sigterm(kernel):
    os.kill(kernel.pid, signal.SIGTERM)


def sigkill(kernel):
    os.kill(kernel.pid, signal.SIGKILL)


def os_exit(kernel):
    kernel.begin("import os; os._exit(1)")


def segfault(kernel):
    kernel.begin("import ctypes; ctypes.string_at(0)")


def busy_in_c(kernel):
    """The kernel holds the GIL in C code: no Python of it runs any more."""
    kernel.begin("import ctypes; ctypes.PyDLL(None).sleep(600)")
    time.sleep(0.1)
    sigkill(kernel)


def forked_child_alive(kernel):
    _with_child(kernel, "fork")


def spawned_child_alive(kernel):
    _with_child(kernel, "spawn")


def _with_child(kernel, method):
    """A `multiprocessing` child outlives the kernel; it inherited the model, or at least its environment."""
    child = int(
        kernel.run(
            "import multiprocessing, time\n"
            f"child = multiprocessing.get_context({method!r}).Process(target=time.sleep, args=(600,))\n"
            "child.start(); print(child.pid)"
        )
    )
    kernel.orphans.append(child)
    sigkill(kernel)


def process_group(kernel):
    os.killpg(os.getpgid(kernel.pid), signal.SIGKILL)


DEATHS = [
    shut_down, restart, sigterm, sigkill, os_exit, segfault, busy_in_c, forked_child_alive, spawned_child_alive,
    process_group,
]  # fmt: skip


@pytest.fixture(autouse=True)
def orphans(kernel):
    """Children that outlive the kernel, which must be alive when the model is gone, and not afterwards."""
    kernel.orphans = []
    yield
    for pid in kernel.orphans:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.__name__)
def test_nothing_is_left_of(death, kernel, engine_name, leftovers, record_property):
    kernel.load(engine_name)
    assert leftovers.directories()
    assert leftovers.processes()
    if engine_name == "docker":
        assert leftovers.containers()
    death(kernel)
    began = time.monotonic()
    leftovers.wait(WITHIN)
    seconds = time.monotonic() - began
    record_property("seconds", seconds)
    print(f"\n{engine_name} {death.__name__}: nothing left after {seconds:.2f} s")  # noqa: T201


@pytest.mark.parametrize("moment", ["placed", "loading"])
def test_nothing_is_left_of_a_load_under_way(moment, kernel, engine_name, leftovers, runtime):
    """Killed when the instance has a directory and no more; killed when the server is in the author's `load`."""
    kernel.begin_load(engine_name, "sleep:600")
    until(lambda: [each for each in runtime.instances() if moment == "placed" or each.leash_lives], within=60)
    sigkill(kernel)
    leftovers.wait(WITHIN)


def test_the_model_ends_though_the_guard_was_killed_and_the_next_load_sweeps(kernel, engine_name, leftovers, runtime):
    kernel.load(engine_name)
    guard = int(kernel.run("from gpumodels.lease import guard; print(next(iter(guard._guards.values())).pid)"))
    directory = runtime.instances()[0]
    os.kill(guard, signal.SIGKILL)
    process_group(kernel)
    until(lambda: not directory.leash_lives)
    until(lambda: leftovers.processes() == [])  # the lease alone gave the memory back
    assert str(directory.path) in leftovers.directories()
    with gpumodels.load("echo", gpu="none", engine=engine_name):
        left = [each for each in leftovers() if directory.id in each]
    assert left == []


def test_a_model_that_ignores_sigterm_ends_with_its_kernel(kernel, engine_name, leftovers):
    kernel.load(engine_name, "ignore-sigterm")
    sigkill(kernel)
    leftovers.wait(WITHIN)


def test_a_server_with_a_forked_child_of_its_own_ends_with_its_kernel(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    kernel.run("model(1, fork=600.0)")
    sigkill(kernel)
    leftovers.wait(WITHIN)
