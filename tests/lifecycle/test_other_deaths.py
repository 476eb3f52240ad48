"""Parts of an instance that die before its notebook: leash, server, container, guard. Nothing is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import docker
import pytest

import gpumodels
from gpumodels.lease.processes import of_instance
from tests.leftovers import until

WITHIN = 15.0


def _processes(instance_id, module):
    """Return the processes of an instance that run that module."""
    command = f"-m\0gpumodels.{module}\0".encode()
    found = []
    for pid in of_instance(instance_id):
        with suppress(OSError):  # it has ended
            if command in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0--\0")[0]:
                found.append(pid)
    return found


@pytest.fixture
def gone(leftovers):
    """A function that waits until nothing is left but the guard of a living kernel."""

    def wait():
        until(lambda: not [each for each in leftovers() if "cleanup.guard" not in each], WITHIN)

    return wait


def _check_that_a_call_fails(kernel, words):
    kernel.run(f"try: model(1)\nexcept gpumodels.ModelGone as error: assert {words!r} in str(error), error")


def test_a_leash_that_is_killed(kernel, engine_name, runtime, gone):
    # All processes of the instance end with its leash. The notebook removes the rest. Its next call raises ModelGone.
    kernel.load(engine_name)
    for pid in _processes(runtime.instances()[0].id, "lease.leash"):
        os.kill(pid, signal.SIGKILL)
    gone()
    _check_that_a_call_fails(kernel, "died")
    kernel.load(engine_name)


@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with a forked child"])
def test_a_model_server_that_is_killed(forked, kernel, engine_name, runtime, gone):
    kernel.load(engine_name)
    if forked:
        kernel.run("model(1, fork=600.0)")
    instance_id = runtime.instances()[0].id
    server = _processes(instance_id, "server")
    assert len(server) == 1 + forked
    os.kill(min(server), signal.SIGKILL)
    gone()
    assert of_instance(instance_id) == []
    _check_that_a_call_fails(kernel, "SIGKILL")


@pytest.fixture
def container(runtime):
    """The container of the only instance."""
    client = docker.from_env()
    yield lambda: client.containers.get(f"gpumodels-{runtime.instances()[0].id}")
    client.close()


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_container_that_is_removed_behind_our_back(kernel, engine_name, container, gone):
    kernel.load(engine_name)
    container().remove(force=True)
    gone()
    _check_that_a_call_fails(kernel, "died")
    kernel.load(engine_name)


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_container_that_is_paused_behind_our_back_and_goes_on(kernel, engine_name, container):
    kernel.load(engine_name)
    container().pause()
    kernel.run("call = model.submit(2); import time; time.sleep(0.3); assert not call.done()")
    container().unpause()
    kernel.run("assert call.result(30) == 2")


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_container_that_is_paused_when_its_kernel_dies(kernel, engine_name, container, leftovers):
    # The leash is paused too: the guard waits for the grace and then removes the container by force.
    kernel.load(engine_name)
    container().pause()
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_guard_that_is_killed_before_its_kernel(kernel, engine_name, leftovers):
    # The guard's second process takes over.
    kernel.load(engine_name)
    for guard in kernel.guards():
        os.kill(guard, signal.SIGKILL)
    kernel.run("assert model(1) == 1")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_guard_and_its_kernel_killed_together(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    for pid in [*kernel.guards(), kernel.pid]:
        os.kill(pid, signal.SIGKILL)
    leftovers.wait(WITHIN)


def test_all_guards_and_the_kernel_killed_together(kernel, engine_name, leftovers, runtime):
    # The end of the lease frees the memory. The next load removes the rest.
    kernel.load(engine_name)
    directory = runtime.instances()[0]
    for session in kernel.guards():
        os.killpg(session, signal.SIGKILL)
    os.killpg(os.getpgid(kernel.pid), signal.SIGKILL)
    until(lambda: not directory.leash_lives)
    until(lambda: leftovers.processes() == [])
    assert str(directory.path) in leftovers.directories()
    with gpumodels.load("echo", gpu="none", engine=engine_name):
        left = [each for each in leftovers() if directory.id in each]
    assert left == []


def test_a_model_that_falls_asleep_while_its_kernel_dies(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    kernel.begin("model.sleep()")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_kernel_that_dies_while_its_model_sleeps(kernel, engine_name, leftovers):
    kernel.load(engine_name)
    kernel.run("model.sleep(); assert model.asleep")
    assert [each for each in leftovers() if "cleanup.guard" not in each] == []
    kernel.kill()
    leftovers.wait(WITHIN)
