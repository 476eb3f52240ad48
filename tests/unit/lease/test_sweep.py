"""Sweeping instances of the process engine that nobody holds. The contract tests do so for the Docker engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gpumodels.cleanup import sweeping
from gpumodels.cleanup.sweeping import sweep, wait_for_endings
from gpumodels.lease.held import LeaseState
from gpumodels.lease.processes import kill_instance, of_instance, same_process, start_time
from tests.leftovers import until
from tests.unit.lease.conftest import new_id

_IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"


@pytest.fixture
def instance(create, runtime, leash):
    """A function that makes a complete instance without a model: directory, shared memory, leash and server."""

    def make(code=_IGNORES_SIGTERM, *options, **fields):
        directory, lease = create(**fields)
        shared = runtime.make_shared_memory(directory.id)
        directory.write(replace(directory.record(), shared_memory=shared))
        mark = {"GPUMODELS_INSTANCE": directory.id}
        process = leash(directory.lease_file, code, "--scratch", shared, *options, env=mark)
        assert process.line() == "up"
        return directory, lease, process

    return make


def _gone(directory, runtime):
    shared = Path(runtime._shared_memory_root) / f"{runtime.identity}-{directory.id}"
    return not directory.path.exists() and not shared.exists() and not of_instance(directory.id)


def test_an_instance_that_is_held_is_left_alone(instance, runtime):
    directory, _, process = instance()
    assert sweep(runtime) is True
    assert directory.leash_lives
    assert process.process.poll() is None


def test_a_sweep_returns_false_while_a_leash_ends_its_server(instance, runtime):
    # The sweep does not touch the instance: the server has its grace.
    directory, lease, process = instance(_IGNORES_SIGTERM, "--grace", "0.5", grace=30.0)
    lease.release()
    until(lambda: directory.lease_state is LeaseState.ENDING)
    assert sweep(runtime) is False
    assert process.process.poll() is None
    assert process.wait() == 98
    assert sweep(runtime) is True
    assert _gone(directory, runtime)


def test_a_leash_that_is_stuck_is_removed_by_force(instance, runtime, monkeypatch):
    # The leash of a paused container does not answer, and neither does one that got SIGSTOP.
    directory, lease, process = instance(grace=0.0)
    os.kill(process.pid, signal.SIGSTOP)
    lease.release()
    assert sweep(runtime) is False
    monkeypatch.setattr("gpumodels.cleanup.sweeping._LEASH_PATIENCE", 0.05)
    until(lambda: sweep(runtime))
    assert _gone(directory, runtime)


def test_a_leash_that_got_stuck_while_it_was_ending_is_removed_as_well(instance, runtime, monkeypatch):
    monkeypatch.setattr("gpumodels.cleanup.sweeping._LEASH_PATIENCE", 0.05)
    directory, lease, process = instance(_IGNORES_SIGTERM, "--grace", "60", grace=0.0)
    lease.release()
    until(lambda: directory.lease_state is LeaseState.ENDING)
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: sweep(runtime))
    assert _gone(directory, runtime)


def test_a_server_whose_leash_was_killed_is_swept_with_all_it_forked(instance, runtime):
    # No namespace holds the processes together: they are found by the mark in their environment.
    forking = (
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: print('up'); time.sleep(60)\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(60)"
    )
    directory, lease, process = instance(forking)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: len(of_instance(directory.id)) == 1)  # the daemon is left
    lease.release()
    until(lambda: sweep(runtime))
    assert _gone(directory, runtime)


def test_a_half_made_instance_of_a_dead_process_is_swept(runtime):
    (runtime.path / "half-0123456789").mkdir()
    assert sweep(runtime) is True
    assert runtime.instances() == []


def test_an_instance_that_its_engine_cannot_remove_stays_for_the_next_sweep(create, runtime):
    directory, lease = create(engine="no-such-engine")
    lease.release()
    assert sweep(runtime) is False
    assert [each.id for each in runtime.claimed()] == [directory.id]
    claimed = runtime.claimed()[0]
    claimed.write(replace(claimed.record(), engine="process"))
    assert sweep(runtime) is True
    assert runtime.claimed() == []


def test_a_load_waits_for_an_instance_that_is_ending(instance, runtime):
    directory, lease, process = instance(_IGNORES_SIGTERM, "--grace", "0.3")
    lease.release()
    assert wait_for_endings(runtime, 10) is True
    assert process.process.poll() == 98 or not of_instance(directory.id)
    assert _gone(directory, runtime)
    assert wait_for_endings(runtime, 10) is False


def test_an_instance_that_ends_between_two_looks_is_swept(instance, runtime, monkeypatch):
    directory, lease, process = instance(_IGNORES_SIGTERM, "--grace", "0.3")
    lease.release()
    remove_claimed = sweeping._remove_claimed

    def sweep_and_wait_for_the_end(claimed, within):
        left = remove_claimed(claimed, within)
        process.wait()
        return left

    monkeypatch.setattr(sweeping, "_remove_claimed", sweep_and_wait_for_the_end)
    assert wait_for_endings(runtime, 10) is True
    assert _gone(directory, runtime)


def test_a_load_does_not_wait_longer_than_it_may(instance, runtime):
    directory, lease, _ = instance(_IGNORES_SIGTERM, "--grace", "60", grace=60.0)
    lease.release()
    began = time.monotonic()
    assert wait_for_endings(runtime, 0.2) is True
    assert time.monotonic() - began < 10
    assert of_instance(directory.id)


def test_a_load_does_not_wait_for_an_engine_that_is_gone(create, runtime):
    _, lease = create(engine="no-such-engine")
    lease.release()
    began = time.monotonic()
    wait_for_endings(runtime, 60)
    assert time.monotonic() - began < 10
    runtime.claimed()[0].remove()


def test_only_marked_processes_are_killed():
    code = "print('up', flush=True); import time; time.sleep(60)"
    command = [sys.executable, "-c", code]
    instance_id = new_id()
    mark = {"GPUMODELS_INSTANCE": instance_id}
    with (
        subprocess.Popen(command, env={**os.environ, **mark}, stdout=subprocess.PIPE) as mine,
        subprocess.Popen(command, env={**os.environ, "OTHER": instance_id}, stdout=subprocess.PIPE) as other,
    ):
        mine.stdout.readline(), other.stdout.readline()
        assert of_instance(instance_id) == [mine.pid]
        assert kill_instance(instance_id)
        assert mine.wait() == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_a_reused_process_id_is_not_the_process():
    assert same_process(os.getpid(), start_time(os.getpid()))
    assert not same_process(os.getpid(), start_time(os.getpid()) - 1)
    assert not same_process(2**22 + 1, 0)
    assert start_time(2**22 + 1) == 0


def test_a_zombie_is_dead():
    child = os.fork()
    if child == 0:
        os._exit(0)
    until(lambda: " Z " in Path(f"/proc/{child}/stat").read_text())
    assert not same_process(child, start_time(child))
    os.waitpid(child, 0)


def test_a_guard_waits_for_the_instances_of_its_own_process_only(create, runtime):
    # The engine of an instance may be down or no longer installed.
    _, lease = create(engine="long-gone")
    lease.release()
    assert sweep(runtime) is False
    assert sweep(runtime, of_process=_owner_pid(runtime) + 1) is True
    assert sweep(runtime, of_process=_owner_pid(runtime)) is False
    assert wait_for_endings(runtime, 5.0) is False, "no memory is about to be freed"
    runtime.claimed()[0].remove()


def _owner_pid(runtime):
    return runtime.claimed()[0].record().owner.pid
