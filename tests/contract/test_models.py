"""What a user of a loaded model meets when something ends, on every engine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gpumodels
from gpumodels import manager
from gpumodels.errors import EngineError, LoadFailed, LoadTimeout, ModelGone, ModelStopped
from gpumodels.lease import guard
from tests.leftovers import until

if TYPE_CHECKING:
    from gpumodels.engines.base import Engine


@pytest.fixture
def load(engine_name, leftovers):
    """Loads echo. The guard, which has work only after us, is not counted as left."""

    def run(behaviour="", **options):
        return gpumodels.load("echo", gpu="none", engine=engine_name, env={"ECHO_LOAD": behaviour}, **options)

    yield run
    assert _left(leftovers) == []


def _left(leftovers):
    guards = {str(process.pid) for process in guard._guards.values()}
    return [each for each in leftovers() if each.split()[0] not in guards]


def _pid_of(model, engine_name):
    """The model server's process id."""
    if engine_name == "docker":
        top = model._hold.instance._container().top(ps_args="-eo pid,args")["Processes"]
        return next(
            int(pid) for pid, command in top if "-m gpumodels.server" in command and "lease.leash" not in command
        )
    from gpumodels.lease.processes import marked

    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(model.record.id)}
    return next(pid for pid, command in commands.items() if b"lease.leash" not in command)


def test_a_stop_leaves_nothing(load, leftovers):
    model = load()
    assert model(1) == 1
    model.stop()
    model.stop()
    assert _left(leftovers) == []
    with pytest.raises(ModelStopped, match="stopped from this notebook at"):
        model(1)


def test_a_block_s_end_leaves_nothing(load, leftovers):
    with load() as model:
        assert model(1) == 1
    assert _left(leftovers) == []


@pytest.mark.parametrize(("behaviour", "words"), [("fail", "told to fail in load"), ("crash", "exit code 9")])
def test_a_load_that_fails_says_why_and_leaves_nothing(load, leftovers, behaviour, words):
    with pytest.raises(LoadFailed, match=words):
        load(behaviour)
    assert _left(leftovers) == []


def test_a_load_that_takes_too_long_leaves_nothing(load, leftovers):
    with pytest.raises(LoadTimeout, match=r"not ready within 1\.5 s"):
        load("sleep:60", timeout=1.5)
    assert _left(leftovers) == []


def test_a_start_that_fails_leaves_nothing(load, leftovers, monkeypatch, engine_name):
    """The engine fails after it told where the instance is to be found: the worst moment."""
    from gpumodels import engines

    kind: type[Engine] = type(engines.engine(engine_name))
    begin = kind.start

    def fail(self, plan, note):
        begin(self, plan, note)
        raise EngineError("the engine is on fire")

    monkeypatch.setattr(kind, "start", fail)
    with pytest.raises(EngineError, match="on fire"):
        load()
    assert _left(leftovers) == []


@pytest.mark.parametrize(("how", "words"), [("exit", "exit code 9"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
def test_a_crash_in_a_call_is_gone_with_the_log_s_tail(load, leftovers, how, words):
    model = load()
    with pytest.raises(ModelGone, match=words) as caught:
        model(1, crash=how)
    assert "echo: load on cpu" in str(caught.value)
    assert not isinstance(caught.value, ModelStopped)
    assert _left(leftovers) == []
    with pytest.raises(ModelGone, match=words):
        model(1)


def test_a_server_killed_between_calls_is_gone(load, engine_name, leftovers):
    model = load()
    os.kill(_pid_of(model, engine_name), signal.SIGKILL)
    until(lambda: not model.alive)
    with pytest.raises(ModelGone, match="SIGKILL"):
        model(1)
    assert _left(leftovers) == []


def test_a_model_stopped_elsewhere_says_by_whom_and_when(load, puppet):
    model = load()
    other = puppet()
    other.do(f"from gpumodels import manager; manager.stop_instance({model.record.id!r}, 'the sidebar')")
    other.close()
    assert not model.alive
    with pytest.raises(ModelStopped, match=r"echo was stopped from the sidebar at \d\d:\d\d"):
        model(1)
    with pytest.raises(ModelStopped, match="the sidebar"):
        model(1)


def test_a_model_stopped_elsewhere_leaves_nothing_though_it_is_never_called_again(load, puppet, leftovers):
    model = load()
    puppet_ = puppet()
    puppet_.do(f"from gpumodels import manager; manager.stop_instance({model.record.id!r}, 'the sidebar')")
    puppet_.close()
    model.stop()
    assert _left(leftovers) == []


def test_two_models_of_one_name_are_two(load):
    with load() as first, load() as second:
        assert first.record.id != second.record.id
        first.stop()
        assert second(2) == 2


def test_what_runs_is_seen_by_other_processes(load, puppet):
    with load() as model:
        other = puppet()
        other.do("import gpumodels")
        assert other.do("[record.id for record in gpumodels.running()]") == [model.record.id]
        other.close()
    assert manager.running() == []


def test_a_forked_child_can_neither_call_nor_stop(load):
    with load() as model:
        child = os.fork()
        if child == 0:
            model.stop()
            try:
                model(1)
            except gpumodels.CallError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert model(1) == 1


def test_a_load_after_a_killed_holder_finds_nothing_of_it(load, puppet, leftovers, engine_name):
    """Guard and all were killed: the next load sweeps."""
    other = puppet(start_new_session=True)
    other.do(f"import gpumodels; m = gpumodels.load('echo', gpu='none', engine={engine_name!r})")
    identity = other.do("m.record.id")
    other.do("from gpumodels.lease import guard; import os, signal")
    other.do("[os.kill(g.pid, signal.SIGKILL) for g in guard._guards.values()]")
    other.kill()
    began = time.monotonic()
    with load() as model:
        assert not any(identity in each for each in leftovers())
        assert model(1) == 1
    assert time.monotonic() - began < 20


def test_a_runtime_directory_with_a_long_name_is_no_matter(load, tmp_path, monkeypatch):
    """The path of a Unix socket ends at 107 bytes."""
    place = tmp_path / ("long-" * 30)
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(place))
    with load() as model:
        assert model(1) == 1
        assert str(model._hold.directory.path).startswith(str(place))
    with guard._guards.pop((os.getpid(), place)) as process:
        process.kill()
    assert not [path for path in place.iterdir() if path.is_dir()]
