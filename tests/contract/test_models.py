"""What a user of a loaded model meets when something ends, on every engine."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gpumodels
from gpumodels import catalog, cleanup, engines, instances
from gpumodels.errors import EngineError, LoadFailed, LoadTimeout, ModelGone, ModelStopped
from gpumodels.lease import guard
from tests.leftovers import until

if TYPE_CHECKING:
    from gpumodels.engines.base import Engine


@pytest.fixture
def load(engine_name, leftovers):
    """Loads echo. The guard and its second, which have work only after us, are not counted as left."""

    def run(behaviour="", **options):
        return gpumodels.load("echo", gpu="none", engine=engine_name, env={"ECHO_LOAD": behaviour}, **options)

    yield run
    assert _left(leftovers) == []


def _left(leftovers):
    guards = {process.pid for process in guard._guards.values()}
    return [each for each in leftovers() if _session_of(each.split()[0]) not in guards]


def _session_of(word):
    with suppress(OSError, ValueError):  # gone, or no process
        return os.getsid(int(word))
    return None


def _pid_of(model, engine_name):
    """The model server's process id."""
    if engine_name == "docker":
        top = model.attachment.instance._container().top(ps_args="-eo pid,args")["Processes"]
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
    with pytest.raises(ModelStopped, match="stopped from this program at"):
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
    other.do(f"from gpumodels import instances; instances.stop_instance({model.record.id!r}, 'the sidebar')")
    other.close()
    assert not model.alive
    with pytest.raises(ModelStopped, match=r"echo was stopped from the sidebar at \d\d:\d\d"):
        model(1)
    with pytest.raises(ModelStopped, match="the sidebar"):
        model(1)


def test_a_model_stopped_elsewhere_leaves_nothing_though_it_is_never_called_again(load, puppet, leftovers):
    model = load()
    other = puppet()
    other.do(f"from gpumodels import instances; instances.stop_instance({model.record.id!r}, 'the sidebar')")
    other.close()
    assert instances.models() == []
    assert _left(leftovers) == []
    assert "echo: load on cpu" in model.logs()


def test_a_dead_model_is_let_go_by_the_load_that_replaces_it(load, engine_name, leftovers):
    dead = load()
    os.kill(_pid_of(dead, engine_name), signal.SIGKILL)
    until(lambda: not dead.alive)
    with load(in_place_of=dead) as model:
        assert model is not dead
        assert not any(dead.record.id in each for each in _left(leftovers))


def test_a_server_that_locks_its_own_lease_ends_with_its_holder(engine_name, puppet, tmp_path, leftovers):
    (tmp_path / "model.toml").write_text('name = "clinging"\n')
    (tmp_path / "model.py").write_text(CLINGING)
    tmp_path.chmod(0o755)
    holder = puppet(start_new_session=True)
    code = f"import gpumodels; m = gpumodels.load({str(tmp_path)!r}, gpu='none', engine={engine_name!r}); m()"
    holder.do(f"exec({code!r})")
    assert holder.do("m()") == "held"
    holder.kill()
    leftovers.wait(within=20)


CLINGING = """
import fcntl, os, pathlib
class Model:
    def load(self, device):
        words = pathlib.Path("/proc/1/cmdline").read_text().split(chr(0))
        self.lease = open(words[words.index("--lease") + 1])
        fcntl.lockf(self.lease, fcntl.LOCK_SH, 1, 0)
    def predict(self) -> str:
        return "held"
"""


def test_a_model_whose_directory_vanished_is_called_and_stopped_all_the_same(load):
    model = load()
    shutil.rmtree(model.attachment.directory.path)
    assert model.alive
    assert instances.models() == [model]
    model.stop()
    assert not model.attachment.lease.held


def test_reloading_the_package_forgets_no_model(load):

    with load() as model:
        assert importlib.reload(instances).models() == [model]


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
    assert instances.running() == []


def test_a_forked_child_calls_and_cannot_stop(load):
    with load() as model:
        child = os.fork()
        if child == 0:
            model.stop()
            os._exit(7 if model(7) == 7 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert model(1) == 1


def test_a_load_after_a_killed_holder_finds_nothing_of_it(load, puppet, leftovers, engine_name):
    """Guard and all were killed: the next load sweeps."""
    other = puppet(start_new_session=True)
    other.do(f"import gpumodels; m = gpumodels.load('echo', gpu='none', engine={engine_name!r})")
    identity = other.do("m.record.id")
    other.do("from gpumodels.lease import guard; import os, signal")
    other.do("[os.killpg(g.pid, signal.SIGKILL) for g in guard._guards.values()]")
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
        assert str(model.attachment.directory.path).startswith(str(place))
    with guard._guards.pop((os.getpid(), place)) as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert not [path for path in place.iterdir() if path.is_dir()]


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_stop_that_fails_leaves_the_model_listed_and_callable(load, puppet):
    with load() as model:
        other = puppet(env={"DOCKER_HOST": "unix:///nowhere.sock"})
        other.do("from gpumodels import instances, errors")
        other.do(
            f"try:\n    instances.stop_instance({model.record.id!r}, 'x')\n"
            "except errors.EngineUnavailable:\n    failed = True\n"
        )
        assert other.do("failed") is True
        other.close()
        assert [record.state for record in instances.running()] == ["ready"]
        assert model.alive
        assert model(1) == 1


@pytest.mark.parametrize("engine_name", ["process"], indirect=True)
def test_a_docker_that_hangs_does_not_hold_up_other_engines(load, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        began = time.monotonic()
        load().stop()
        assert time.monotonic() - began < 20  # it would be 60


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_stop_is_not_held_up_by_a_docker_that_hangs(load, tmp_path, monkeypatch, leftovers):
    model = load()
    with monkeypatch.context() as patch, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()
        patch.setattr(model.attachment.instance, "_engine", _engine_at(tmp_path / "docker.sock", patch))
        began = time.monotonic()
        model.stop()
        assert time.monotonic() - began < 20  # it would be 60, and the GPU not free
    assert not model.attachment.directory.leash_lives
    cleanup.sweep()
    assert _left(leftovers) == []


def _engine_at(path, patch):
    patch.setenv("DOCKER_HOST", f"unix://{path}")
    return engines.engine("docker")


@pytest.mark.parametrize("engine_name", ["fake"], indirect=True)
def test_what_loads_it_again_is_what_the_user_wrote(engine_name, tmp_path):
    place = tmp_path / "my model"
    shutil.copytree(catalog.find("echo").folder, place)
    with gpumodels.load(place, gpu="none", engine=engine_name) as model:
        pass
    with pytest.raises(ModelStopped, match=f"again with `%load_model '{place}'`"):
        model(1)
