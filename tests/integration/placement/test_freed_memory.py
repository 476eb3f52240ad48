"""GPU memory that a model frees when it sleeps or is stopped. It is measured, and all views show it."""

from __future__ import annotations

import time

import pytest

import gpumodels
from gpumodels.instances import sleeping
from gpumodels.lease import events
from gpumodels.lease.processes import of_instance
from gpumodels.model import freed
from tests.fakes.nvml import GB, gpu


@pytest.fixture
def holding(build, folder, load):
    """A function that loads a model. Its server holds memory of GPU 0."""

    def make(memory=6 * GB, **options):
        machine = build(gpu())
        model = load(folder(), gpu=0, **options)
        machine.hold(max(of_instance(model.record.id)), memory)
        return model, machine

    return make


def _asleep_events(path):
    return [each for each in events.read(path) if each["event"] == "asleep"]


def test_the_freed_memory_is_measured_and_shown(holding, tmp_path):
    model, _ = holding()
    found = model.sleep()
    assert (found.before, found.after, found.bytes) == (6 * GB, 0, 6 * GB)
    assert str(found).endswith(", 6.0 GB on GPU 0 freed")
    assert repr(model).endswith("6.0 GB on GPU 0 freed>")
    assert model.logs().endswith("6.0 GB on GPU 0 freed")
    (event,) = _asleep_events(tmp_path / "runtime")
    assert event["text"].endswith("6.0 GB on GPU 0 freed")
    assert (event["before"], event["after"]) == (6 * GB, 0)
    (sleeper,) = sleeping()
    assert sleeper.freed == 6 * GB
    assert str(sleeper).endswith(", 6.0 GB freed")


def test_a_model_that_falls_asleep_by_itself_shows_it_too(holding):
    model, _ = holding(idle=1.5)
    deadline = time.monotonic() + 15
    while not model.asleep:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert model.sleep().summary == "6.0 GB on GPU 0 freed"


def test_stopping_shows_the_freed_memory(holding):
    model, _ = holding()
    model.stop()
    assert model.freed.summary == "6.0 GB on GPU 0 freed"
    with pytest.raises(gpumodels.ModelStopped):
        model()


def test_sleep_waits_for_a_driver_that_frees_memory_late(holding, monkeypatch):
    model, _machine = holding()
    real, late = freed.memory_held, time.monotonic() + 1.5

    monkeypatch.setattr(freed, "memory_held", lambda record: 6 * GB if time.monotonic() < late else real(record))
    assert model.sleep().bytes == 6 * GB


def test_less_than_three_quarters_is_shown_as_a_part(holding, monkeypatch):
    model, _ = holding()
    monkeypatch.setattr(freed, "_WITHIN", 0.3)
    monkeypatch.setattr(freed, "memory_held", lambda _: 6 * GB if model.alive else 4 * GB)
    assert model.sleep().summary == "2.0 GB of 6.0 GB, so far, on GPU 0 freed"


def test_a_model_sleeps_also_if_the_driver_fails(holding):
    model, machine = holding()
    machine.fail(nvmlInit=9, nvmlDeviceGetComputeRunningProcesses=999)
    model.sleep()
    assert model.asleep


def test_a_model_sleeps_on_if_its_gpu_is_full(build, folder, load):
    machine = build(gpu(memory=10 * GB))
    model = load(folder(memory="8 GB"), gpu=0)
    model.sleep()
    machine.hold(1, 9 * GB)
    with pytest.raises(gpumodels.DeviceError, match=r"^teller cannot be placed: "):
        model()
    assert model.asleep
    machine.description["processes"].clear()
    machine.write()
    assert model()["device"] == "cuda"


def test_a_model_that_was_loaded_with_auto_wakes_on_a_gpu_with_room(build, folder, load):
    machine = build(gpu(), gpu())
    model = load(folder(memory="8 GB"), gpu="auto")
    assert model.record.device == "GPU 0"
    model.sleep()
    machine.hold(1, 79 * GB, gpu=0)
    model()
    assert model.record.device == "GPU 1"
    assert "GPU 1" in model.__doc__


def test_each_notebook_that_shares_a_model_sees_the_memory_that_its_sleep_frees(holding, puppet, tmp_path):
    model, machine = holding(idle=4, share=True)
    other = puppet(env=machine.environment())
    other.do("import gpumodels; m = gpumodels.attach('teller')")
    deadline = time.monotonic() + 15
    while not (model.asleep and other.do("m.asleep")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert model.sleep().summary == other.do("m.sleep().summary") == "6.0 GB on GPU 0 freed"


def test_a_cpu_model_shows_since_when_it_sleeps_and_no_memory(build, folder, load):
    build()
    model = load(folder(), gpu="none")
    assert model.sleep().summary == ""
    assert str(model.freed) == f"asleep since {time.strftime('%H:%M', time.localtime(model.freed.since))}"
