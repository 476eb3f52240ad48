"""Room for a model: learnt memory, eviction of idle models, and the error if no GPU has room."""

from __future__ import annotations

import os
import re

import pytest

from gpumodels.attribution import peaks
from gpumodels.errors import DeviceError
from gpumodels.lease.processes import of_instance
from gpumodels.loading import eviction
from gpumodels.model import freed
from tests.fakes.nvml import GB, gpu
from tests.leftovers import until


@pytest.fixture
def idle_at_once(monkeypatch):
    """Let models count as idle immediately after a call."""
    monkeypatch.setattr(eviction, "_IDLE_FOR", 0.0)


def holding(machine, record, memory, index=0):
    """Let the model server of an instance hold GPU memory."""
    machine.hold(max(of_instance(record.id)), memory, gpu=index)


def test_a_load_is_placed_by_the_memory_that_the_model_took_before(build, folder, load, monkeypatch):
    monkeypatch.setenv("GPUMODELS_PLACEMENT", "first-fit")
    machine = build(gpu(memory=35 * GB), gpu(memory=80 * GB))
    model = load(folder(), gpu="auto")
    assert model.record.device == "GPU 1"  # the need is unknown, so the GPU with the most free memory
    holding(machine, model.record, 30 * GB, 1)
    model.sleep()
    model()
    assert model.record.device == "GPU 0"


def test_learnt_memory_refuses_no_load_but_gives_a_notice(build, folder, load, notices):
    machine, path = build(gpu(memory=40 * GB)), folder()
    model = load(path, gpu=0)
    holding(machine, model.record, 30 * GB)
    model.stop()
    machine.hold(os.getpid(), 20 * GB)
    assert load(path, gpu=0, report=notices).alive
    assert notices.lines == ["teller may not fit: it took 30.0 GB before"]


def test_a_load_with_evict_puts_an_idle_model_to_sleep(build, folder, load, notices, idle_at_once):
    machine = build(gpu(memory=80 * GB))
    first = load(folder("first"), gpu=0)
    holding(machine, first.record, 50 * GB)
    second = load(folder("second", memory="60 GB"), gpu=0, evict=True, report=notices)
    assert first.asleep
    assert notices.lines == [
        f"first ({first.record.id}, 50.0 GB on GPU 0) is put to sleep to make room for second; its next call wakes it"
    ]
    second.stop()
    assert first()["device"] == "cuda"


def test_a_model_of_another_notebook_is_put_to_sleep_too_and_wakes_there(build, folder, load, puppet, idle_at_once):
    machine = build(gpu(memory=80 * GB))
    other = puppet(env={**machine.environment(), "GPUMODELS_RUNTIME_DIR": os.environ["GPUMODELS_RUNTIME_DIR"]})
    other.do(f"import gpumodels; model = gpumodels.load({str(folder('first'))!r}, engine='fake', gpu=0)")
    (pid,) = [max(of_instance(other.do("model.record.id")))]
    machine.hold(pid, 50 * GB)
    second = load(folder("second", memory="60 GB"), gpu="auto", evict=True)
    until(lambda: other.do("model.asleep"))
    second.stop()
    assert other.do("model()['device']") == "cuda"


def test_no_model_is_put_to_sleep_if_that_would_not_make_enough_room(build, folder, load, idle_at_once):
    machine = build(gpu(memory=80 * GB))
    first = load(folder("first"), gpu=0)
    holding(machine, first.record, 10 * GB)
    machine.hold(os.getpid(), 60 * GB)
    with pytest.raises(DeviceError, match=r"^second cannot be placed: 40.0 GB "):
        load(folder("second", memory="40 GB"), gpu=0, evict=True)
    assert first.alive


def test_a_model_that_was_just_called_is_not_put_to_sleep(build, folder, load):
    machine = build(gpu(memory=80 * GB))
    first = load(folder("first"), gpu=0)
    holding(machine, first.record, 50 * GB)
    first()
    with pytest.raises(DeviceError):
        load(folder("second", memory="60 GB"), gpu=0, evict=True)
    assert first.alive


def test_the_error_without_room_tells_what_evict_would_do(build, folder, load, idle_at_once):
    machine = build(gpu(memory=80 * GB))
    first = load(folder("first"), gpu=0)
    holding(machine, first.record, 50 * GB)
    with pytest.raises(DeviceError) as caught:
        load(folder("second", memory="60 GB"), gpu=0)
    assert re.fullmatch(
        rf"second cannot be placed: 60.0 GB of free GPU memory are needed. GPU 0 \(NVIDIA H100\) has 30.0 GB free of "
        rf"80.0 GB: first of \S+ holds 50.0 GB, idle for \d+ s \(`gpumodels stop {first.record.id}` frees it\)."
        " `--evict` would put first to sleep to make room.",
        str(caught.value),
    )


def test_memory_that_a_loading_model_has_taken_already_is_not_counted_twice(build, folder, load, runtime_path):
    machine = build(gpu(memory=80 * GB))
    first = load(folder("first", memory="50 GB"), gpu=0)
    holding(machine, first.record, 45 * GB)
    directory = runtime_path.parent / "runtime" / first.record.id / "instance.json"
    directory.write_text(directory.read_text().replace('"ready"', '"loading"'))
    assert load(folder("second", memory="25 GB"), gpu=0).alive
    with pytest.raises(DeviceError, match=r"not counting 5\.0 GB promised"):
        load(folder("third", memory="32 GB"), gpu=0)


def test_an_instance_with_two_automatic_gpus_sees_both(build, folder, load):
    machine = build(gpu(memory=80 * GB), gpu(memory=40 * GB), gpu(memory=80 * GB))
    model = load(folder(memory="100 GB"), gpu="auto:2")
    assert model.record.device == "GPU 0, 2"
    assert len(model()["CUDA_VISIBLE_DEVICES"].split(",")) == 2
    holding(machine, model.record, 30 * GB, 0)
    holding(machine, model.record, 50 * GB, 2)
    assert freed.memory_held(model.record) == 80 * GB
    model.sleep()
    assert peaks.learnt(model.record.fingerprint, "fake", 2) == {"NVIDIA H100": 80 * GB}
