"""Notes and events: other processes see which models of a notebook load, sleep, fail, are stopped or die."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

import gpumodels
from gpumodels.instances import list_loads, sleep_instance, sleeping, stop_instance, wake_here
from gpumodels.lease import events
from gpumodels.lease.processes import of_instance
from tests.leftovers import until

_LOAD = "gpumodels.load('echo', engine='fake', gpu='none', {})"


@pytest.fixture
def load():
    loaded = []

    def make(**options):
        loaded.append(gpumodels.load("echo", engine="fake", gpu="none", **options))
        return loaded[-1]

    yield make
    for model in loaded:
        model.stop()


@pytest.fixture
def other(puppet):
    """A function that starts another notebook: `other("idle=1")` loads echo there as `m`."""

    def make(options=""):
        made = puppet()
        made.do(f"import gpumodels; m = {_LOAD.format(options)}")
        return made

    return make


@pytest.fixture
def event_texts(runtime_path):
    """A function that returns the texts of all events of a kind."""
    return lambda kind: [each["text"] for each in events.read(runtime_path) if each["event"] == kind]


def _files(runtime_path, kind):
    return list(runtime_path.glob(f".*{kind}-*"))


@pytest.mark.parametrize("how", ["idle", "by its notebook", "from elsewhere"])
def test_a_model_that_sleeps_is_listed_with_its_notebook_until_that_ends(how, other, runtime_path):
    notebook = other("idle=0.3" if how == "idle" else "")
    if how == "by its notebook":
        notebook.do("_ = m.sleep()")
    elif how == "from elsewhere":
        sleep_instance(gpumodels.running()[0].id)
    (sleeper,) = until(sleeping)
    assert sleeper.owner.pid == notebook.pid
    assert (sleeper.record.model, sleeper.record.engine, sleeper.freed) == ("echo", "fake", None)
    assert notebook.do("m.record.id") == sleeper.record.id
    assert gpumodels.running() == []
    notebook.kill()
    assert sleeping() == []
    until(lambda: _files(runtime_path, "asleep") == [])  # its guard sweeps


def test_a_model_is_woken_by_its_id_without_keeping_its_notebook_busy(load, runtime_path, event_texts):
    model = load(env={"ECHO_LOAD": "sleep:0.5"})
    model.sleep()
    before = model.record.id
    with pytest.raises(KeyError):
        wake_here("echo-0000000000")
    wake_here(before)
    assert model.asleep  # the call returned before the load was done
    (in_flight,) = until(lambda: [load for load in list_loads() if len(load.instances) > 1])
    assert in_flight.instances[0] == before
    until(lambda: model.alive)
    assert in_flight.instances[1] == model.record.id
    assert sleeping() == []
    until(lambda: list_loads() == [])
    assert len(until(lambda: event_texts("awake"))) == 1
    assert _files(runtime_path, "asleep") == []


@pytest.mark.parametrize("end", ["stop", "stop by id", "replace"])
def test_a_sleeping_model_that_is_stopped_or_replaced_is_no_longer_listed(end, load, event_texts):
    model = load()
    model.sleep()
    if end == "stop":
        model.stop("the sidebar")
    elif end == "stop by id":
        stop_instance(model.record.id, "the sidebar")
    else:
        load(in_place_of=model, env={"OTHER": "1"})
    assert sleeping() == []
    assert event_texts("stopped")[0].startswith("echo was stopped from")
    assert not _sleeps_again_when_measured(model)


def _sleeps_again_when_measured(model):
    # The freed memory is measured on a thread, which may end after the stop.
    model.attachment._measured.wait(10)
    return bool(sleeping())


def test_a_shared_model_is_listed_as_asleep_once_it_sleeps_in_all_notebooks(load, other):
    model = load(share=True)
    notebook = other("share=True")
    model.sleep()
    assert model.asleep
    assert sleeping() == []
    assert len(gpumodels.running()) == 1
    notebook.do("_ = m.sleep()")
    found = sleeping()
    assert {each.record.id for each in found} == {model.record.id}
    assert {each.owner.pid for each in found} == {os.getpid(), notebook.pid}
    notebook.do("m.stop()")
    assert [each.owner.pid for each in sleeping()] == [os.getpid()]


def test_a_wake_that_fails_is_listed_as_failed_and_the_model_sleeps_on(load, tmp_path):
    folder = tmp_path / "moody"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "moody"\n')
    code = "class Model:\n    def load(self, device): {}\n    def predict(self, n: int) -> int: return n\n"
    (folder / "model.py").write_text(code.format("pass"))
    with gpumodels.load(folder, engine="fake", gpu="none") as model:
        model.sleep()
        (folder / "model.py").write_text(code.format("raise RuntimeError('moody today')"))
        wake_here(model.record.id)
        (failed,) = until(lambda: [each for each in list_loads() if each.failed])
        assert failed.failed == "moody failed to load: RuntimeError: moody today"
        assert failed.line == f"%load_model {folder} --gpu none --engine fake"
        assert [each.record.id for each in sleeping()] == [model.record.id]


def test_a_notebook_that_is_killed_while_it_loads_is_loading_no_more(puppet, runtime_path, event_texts):
    notebook = puppet()
    notebook.do("import gpumodels")
    notebook.tell(_LOAD.format("env={'ECHO_LOAD': 'sleep:60'}"))
    (seen,) = until(lambda: [load for load in list_loads() if load.text.startswith("loading")], within=30)
    assert (seen.pid, seen.model, len(seen.instances)) == (notebook.pid, "echo", 1)
    notebook.kill()
    assert list_loads() == []
    until(lambda: _files(runtime_path, "load") == [])
    assert until(lambda: event_texts("ended")) == ["echo ended: nobody holds it any more"]


def test_replicas_are_one_load(load):
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, replicas=2, env={"ECHO_LOAD": "sleep:1"})
        (seen,) = until(lambda: [each for each in list_loads() if len(each.instances) == 2])
        until(lambda: {record.id for record in gpumodels.running()} == set(seen.instances))
        assert {each.record.id for each in loading.result().replicas} == set(seen.instances)


def test_the_end_of_a_shared_model_is_logged_once(load, other, event_texts):
    model = load(share=True)
    notebook = other("share=True")
    assert len(event_texts("loaded")) == 2  # each notebook logs its load
    for pid in of_instance(model.record.id):
        with suppress(ProcessLookupError):  # the second process ends with the first
            os.kill(pid, signal.SIGKILL)
    until(lambda: event_texts("died"))
    until(lambda: not model.alive and not notebook.do("m.alive"))
    notebook.do("m.clean_up()")
    model.clean_up()
    (died,) = event_texts("died")
    assert died.startswith("echo died (")
    another = load()
    stop_instance(another.record.id, "the sidebar")
    assert event_texts("stopped") == ["echo was stopped from the sidebar"]
