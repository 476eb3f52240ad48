"""The contract of engines, which loads rely on. Every test runs on every engine."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gpumodels import devices, engines
from gpumodels.cleanup import sweep
from gpumodels.engines.base import Ending
from gpumodels.engines.docker import containers
from gpumodels.errors import EngineError, EngineUnavailable
from gpumodels.lease.leash import ENDED, LET_GO, UNSEEN
from gpumodels.server.__main__ import LOAD_FAILED
from tests.contract.conftest import quiet
from tests.leftovers import until


def test_preparing_again_builds_nothing(engine, spec):
    prepared = engine.prepare(spec, "cpu", quiet)
    progress = []
    assert engine.prepare(spec, "cpu", lambda text, _: progress.append(text)) == prepared
    assert progress == []  # nothing was built


def test_a_started_instance_answers_calls(start):
    started = start()
    assert started.call([1, 2]) == [1, 2]
    assert started.instance.ending() is None
    assert started.directory.leash_lives


def test_start_notes_the_engine_reference_once_before_it_returns(start):
    started = start()
    assert len(started.noted) == 1
    assert started.record.engine_ref == started.noted[0][0] != {}


def test_what_the_server_prints_is_in_its_log(start):
    started = start()
    started.call(1)
    assert "echo: load on cpu" in started.instance.logs()
    assert started.instance.logs(1).count("\n") == 0
    assert started.instance.logs(1) in started.instance.logs().splitlines()  # docker may swap lines of the two streams


def test_a_stopped_instance_has_an_ending(start):
    started = start()
    started.call(1)
    began = time.monotonic()
    started.instance.stop(5.0)
    assert time.monotonic() - began < 4  # echo ends at once on SIGTERM
    assert started.instance.ending() is not None


def test_a_server_that_ignores_the_stop_is_killed_after_its_grace(start, leftovers):
    started = start("ignore-sigterm", grace=0.3)
    started.call(1)
    began = time.monotonic()
    started.instance.stop(0.3)
    assert time.monotonic() - began >= 0.3
    assert started.instance.ending() is not None
    assert leftovers.processes() == leftovers.containers() == []


def test_a_server_that_holds_the_gil_is_stopped_too(start, leftovers):
    started = start("hold_gil:30", grace=0.3)
    until(lambda: "hold_gil" in started.instance.logs())
    started.instance.stop(0.3)
    assert leftovers.processes() == leftovers.containers() == []


def test_stopping_and_removing_an_instance_twice_is_silent(start, leftovers):
    started = start()
    for _ in range(2):
        started.instance.stop(1.0)
        started.instance.remove()
    assert started.instance.ending() is not None
    assert leftovers.processes() == leftovers.containers() == []


def test_removing_a_running_instance_ends_it(start, leftovers):
    started = start()
    started.call(1)
    started.instance.remove()
    assert leftovers.processes() == leftovers.containers() == []


def test_two_stops_at_once_both_return(start, leftovers):
    started = start("ignore-sigterm", grace=0.2)
    started.call(1)
    threads = [threading.Thread(target=started.instance.stop, args=(0.2,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    until(lambda: leftovers.processes() == leftovers.containers() == [])


@pytest.mark.parametrize(("load", "code"), [("crash", 9), ("fail", LOAD_FAILED)])
def test_the_exit_code_of_a_server_that_ended_is_known(start, load, code):
    started = start(load)
    assert started.wait() == Ending(code)
    assert not started.directory.leash_lives


def test_releasing_the_lease_ends_the_instance(start):
    started = start()
    started.call(1)
    started.lease.release()
    assert started.wait() == Ending(LET_GO)


def test_a_lease_that_was_released_before_the_start_is_unseen(start, runtime, monkeypatch):
    create = runtime.create

    def let_go(*arguments):
        directory, lease = create(*arguments)
        lease.release()
        return directory, lease

    monkeypatch.setattr(runtime, "create", let_go)
    started = start()
    assert started.wait() == Ending(UNSEEN)
    assert "nobody holds the lease" in started.instance.logs()


def test_the_shared_memory_is_empty_after_the_instance_ended_by_itself(start):
    started = start()
    started.call(1)
    directory = Path(started.record.shared_memory)
    (directory / "region").write_bytes(b"x" * 1000)
    os.chown(directory / "region", directory.stat().st_uid, directory.stat().st_gid)
    started.lease.release()
    started.wait()
    assert list(directory.iterdir()) == []


def test_a_shutdown_does_not_wait_for_a_server_that_ignores_sigterm(start, engine_name):
    """Send SIGTERM to the leash, as the Docker daemon or systemd does at a shutdown."""
    started = start("ignore-sigterm", grace=60.0)
    started.call(1)
    if engine_name == "docker":
        started.instance._container().kill("SIGTERM")
    else:
        os.kill(started.instance.pid, signal.SIGTERM)
    assert started.wait() == Ending(ENDED)


def test_another_process_can_stop_an_instance(start, puppet, leftovers):
    started = start()
    started.call(1)
    other = puppet()
    other.do(
        "from gpumodels import engines; from gpumodels.instances import runtime_directory\n"
        f"directory = runtime_directory().directory({started.directory.id!r}); record = directory.record()\n"
        "instance = engines.engine(record.engine).attach(record, directory)"
    )
    assert other.do("instance.ending()") is None
    assert "echo: load" in other.do("instance.logs()")
    other.do("instance.stop(1.0)")
    assert started.instance.ending() is not None
    assert leftovers.processes() == [each for each in leftovers.processes() if each.startswith(str(other.pid))]
    assert leftovers.containers() == []


def test_settings_reach_the_server(start):
    started = start(env={"GREETING": "hello world"})
    started.call(1)
    assert "GREETING=hello world" in _environment(started)


def test_settings_of_the_kernel_do_not_reach_the_server(start, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("PYTHONSTARTUP", "/no/such/file")
    started = start()
    started.call(1)
    environment = _environment(started)
    assert "CUDA_VISIBLE_DEVICES=7" not in environment
    assert not any(line.startswith("PYTHONSTARTUP") for line in environment)


def test_a_gpu_is_named_by_uuid(start, engine, engine_name, monkeypatch):
    gpus = tuple(
        devices.Device(index=index, uuid=f"GPU-{index}0000000-0000-0000-0000-000000000000", name="A")
        for index in (0, 3)
    )
    if engine_name == "docker":  # this machine's daemon cannot give a GPU, so only the settings are tested
        monkeypatch.setattr(containers, "_gpus", lambda *_: {})
    started = start(devices=gpus)
    environment = _environment(started)
    assert f"CUDA_VISIBLE_DEVICES={gpus[0].uuid},{gpus[1].uuid}" in environment
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in environment


def _environment(started):
    """Return the environment of the server process, from /proc of this machine."""

    def read():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
                except OSError:
                    continue
                if b"gpumodels.server" in command and b"lease.leash" not in command and _is_of(started, entry):
                    return environment.decode().split("\0")
        return None

    return until(read)


def _is_of(started, entry):
    if hasattr(started.instance, "pid"):
        return f"GPUMODELS_INSTANCE={started.directory.id}".encode() in (entry / "environ").read_bytes()
    return started.record.engine_ref["container"] in (entry / "cgroup").read_text() + (entry / "mountinfo").read_text()


def test_two_instances_know_nothing_of_each_other(start):
    first, second = start(), start()
    assert (first.call("a"), second.call("b")) == ("a", "b")
    first.instance.stop(1.0)
    assert second.instance.ending() is None
    assert second.call("b") == "b"


def test_a_failure_to_note_the_reference_leaves_nothing_that_runs(start, engine, runtime, leftovers):
    """Let `note` fail, as on a full disk. The instance can still be removed by its id."""

    def fail(_):
        raise OSError("No space left on device")

    with pytest.raises((OSError, EngineError)):
        start(note=fail)
    directory = runtime.instances()[0]
    engine.attach(directory.record(), directory).remove()
    assert leftovers.processes() == leftovers.containers() == []


def test_an_instance_without_a_noted_reference_can_be_removed(start, engine, leftovers):
    """Remove an instance by its id alone, as if the kernel had died between the start and the note."""
    started = start()
    started.call(1)
    record = replace(started.record, engine_ref={})
    engine.attach(record, started.directory).remove()
    assert leftovers.processes() == leftovers.containers() == []


def test_a_sweep_removes_released_instances_and_leaves_held_ones(start, runtime, leftovers):
    kept, left = start(), start()
    kept.call(1), left.call(1)
    left.lease.release()
    until(lambda: sweep(runtime))
    assert [directory.id for directory in runtime.instances()] == [kept.directory.id]
    assert kept.call(2) == 2
    assert leftovers.directories() == [str(kept.directory.path)]
    assert leftovers.shared_memory() == [kept.record.shared_memory]


def test_a_running_instance_whose_directory_is_missing_is_not_ended_by_a_sweep(start, runtime):
    """Leave a running instance alone: its own leash ends it."""
    started = start()
    started.call(1)
    hidden = runtime.path.with_name("hidden")
    started.directory.path.rename(hidden)
    assert sweep(runtime)
    hidden.rename(started.directory.path)
    assert started.instance.ending() is None
    assert started.call(3) == 3


def test_an_engine_that_does_not_exist_names_those_that_do():
    with pytest.raises(EngineUnavailable, match="did you mean 'docker'"):
        engines.engine("dokcer")
