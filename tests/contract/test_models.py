"""The end of models and loads on every engine: nothing is left, and users get clear errors."""

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
    """A function that loads echo. After the test nothing may be left except the guards, which outlive this process."""

    def run(behaviour="", **options):
        return gpumodels.load("echo", gpu="none", engine=engine_name, env={"ECHO_LOAD": behaviour}, **options)

    yield run
    assert _left(leftovers) == []


def _left(leftovers):
    guards = {process.pid for process in guard._guards.values()}
    return [each for each in leftovers() if _session_of(each.split()[0]) not in guards]


def _session_of(word):
    with suppress(OSError, ValueError):  # the process is gone, or the word is not a process id
        return os.getsid(int(word))
    return None


def _pid_of(model, engine_name):
    """Return the process id of the model server."""
    if engine_name == "docker":
        top = model.attachment.instance._container().top(ps_args="-eo pid,args")["Processes"]
        return next(
            int(pid) for pid, command in top if "-m gpumodels.server" in command and "lease.leash" not in command
        )
    from gpumodels.lease.processes import of_instance

    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in of_instance(model.record.id)}
    return next(pid for pid, command in commands.items() if b"lease.leash" not in command)


def test_a_stop_leaves_nothing(load, leftovers):
    model = load()
    assert model(1) == 1
    model.stop()
    model.stop()
    assert _left(leftovers) == []
    with pytest.raises(ModelStopped, match="stopped from this program at"):
        model(1)


def test_the_end_of_a_with_block_leaves_nothing(load, leftovers):
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
    """Let the engine fail after it has started the instance and recorded its reference, which is the worst moment."""
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
def test_a_crash_in_a_call_raises_model_gone_with_the_last_log_lines(load, leftovers, how, words):
    model = load()
    with pytest.raises(ModelGone, match=words) as caught:
        model(1, crash=how)
    assert "echo: load on cpu" in str(caught.value)
    assert not isinstance(caught.value, ModelStopped)
    assert _left(leftovers) == []
    with pytest.raises(ModelGone, match=words):
        model(1)


def test_a_server_killed_between_calls_raises_model_gone(load, engine_name, leftovers):
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


def test_a_model_stopped_elsewhere_leaves_nothing_even_if_it_is_not_called_again(load, puppet, leftovers):
    model = load()
    other = puppet()
    other.do(f"from gpumodels import instances; instances.stop_instance({model.record.id!r}, 'the sidebar')")
    other.close()
    assert instances.models() == []
    assert _left(leftovers) == []
    assert "echo: load on cpu" in model.logs()


def test_a_load_that_replaces_a_dead_model_removes_it(load, engine_name, leftovers):
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


def test_a_model_without_its_directory_can_be_called_and_stopped(load):
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


def test_running_models_are_seen_by_other_processes(load, puppet):
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


def test_a_load_removes_what_a_killed_process_left(load, puppet, leftovers, engine_name):
    """Kill the other process and its guards. The next load sweeps."""
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


def test_a_runtime_directory_may_have_a_long_path(load, tmp_path, monkeypatch):
    """Use a path longer than 107 bytes, the limit of a Unix socket's address."""
    directory = tmp_path / ("long-" * 30)
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(directory))
    with load() as model:
        assert model(1) == 1
        assert str(model.attachment.directory.path).startswith(str(directory))
    with guard._guards.pop((os.getpid(), directory)) as process:
        os.killpg(process.pid, signal.SIGKILL)
    assert not [path for path in directory.iterdir() if path.is_dir()]


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
        assert time.monotonic() - began < 20  # docker-py's own timeout is 60 s


@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_a_stop_is_not_held_up_by_a_docker_that_hangs(load, tmp_path, monkeypatch, leftovers):
    model = load()
    with monkeypatch.context() as patch, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()
        patch.setattr(model.attachment.instance, "_engine", _engine_at(tmp_path / "docker.sock", patch))
        began = time.monotonic()
        model.stop()
        assert time.monotonic() - began < 20  # with docker-py's own timeout of 60 s the GPU would not be free
    assert not model.attachment.directory.leash_lives
    cleanup.sweep()
    assert _left(leftovers) == []


def _engine_at(path, patch):
    patch.setenv("DOCKER_HOST", f"unix://{path}")
    return engines.engine("docker")


@pytest.mark.parametrize("engine_name", ["fake"], indirect=True)
def test_the_error_of_a_stopped_model_has_the_line_that_loads_it_again(engine_name, tmp_path):
    folder = tmp_path / "my model"
    shutil.copytree(catalog.find("echo").folder, folder)
    with gpumodels.load(folder, gpu="none", engine=engine_name) as model:
        pass
    with pytest.raises(ModelStopped, match=f"again with `%load_model '{folder}'`"):
        model(1)
