"""The option `--memory`: allowed sizes, the limits of frameworks, and the mark of models that exceed their limit."""

from __future__ import annotations

import time

import pytest

from gpumodels.cli.listing import described, row
from gpumodels.errors import LoadRefused
from gpumodels.instances import gpu_usage, memory_limit, read_overview, registry
from gpumodels.lease import events
from gpumodels.lease.processes import of_instance
from gpumodels.magics.listing import Listing
from tests.fakes.nvml import GB, gpu

GIB = 1 << 30

TELLER = """
import os
from gpumodels.server import memory_limit
class Model:
    def load(self, device): pass
    def predict(self) -> dict:
        names = ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")
        return {"limit": memory_limit(), **{name: os.environ.get(name) for name in names}}
"""


@pytest.fixture
def teller(folder):
    """A model that reports its limit."""
    path = folder()
    (path / "model.py").write_text(TELLER)
    return path


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shorten the times of the limit watcher."""
    monkeypatch.setattr(memory_limit, "_PERIOD", 0.1)
    monkeypatch.setattr(memory_limit, "_FOR", 0.3)
    monkeypatch.setattr(gpu_usage._sampler, "_interval", 0.05)


def until(true):
    deadline = time.monotonic() + 30
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("memory", ["much", "4", -5, True, 1.5])
def test_a_malformed_size_is_refused_before_anything_begins(build, teller, load, memory):
    build(gpu())
    with pytest.raises(LoadRefused, match=r"memory must be a size such as '4GiB' or '500MB', or .*, not "):
        load(teller, memory=memory)
    assert registry.running() == []


@pytest.mark.parametrize(
    ("asked", "memory", "message"),
    [
        ("auto", "100 GB", "teller: memory of 100.0 GB is more than any GPU here can give, 80.0 GB"),
        (1, "50 GB", "memory of 50.0 GB is more than GPU 1 can give, 40.0 GB: set a smaller limit, or none"),
        ("0,1", "90 GB", "is more than GPU 0 and GPU 1 can give, 80.0 GB"),
    ],
)
def test_more_than_the_gpu_has_is_refused(build, teller, load, asked, memory, message):
    build(gpu(), gpu("NVIDIA A100", 40 * GB))
    with pytest.raises(LoadRefused, match=message):
        load(teller, gpu=asked, memory=memory)


def test_on_the_cpu_a_limit_has_no_effect_and_gives_a_notice(build, teller, load, notices):
    build(gpu())
    model = load(teller, gpu="none", memory="4GiB", report=notices)
    assert "teller runs on the CPU, where its limit of GPU memory has no effect." in notices.lines
    assert model()["limit"] is None


def test_each_gpu_has_its_part_of_the_limit_less_the_memory_of_cuda(build, teller, load):
    build(gpu(memory=80 * GIB), gpu(memory=40 * GIB))
    answer = load(teller, gpu="0,1", memory="20GiB")()
    assert answer["limit"] == 10 * GIB - (512 << 20)
    assert float(answer["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == pytest.approx(9.5 / 80, abs=1e-6)
    assert answer["XLA_CLIENT_MEM_FRACTION"] == ""


def test_a_jax_setting_of_the_user_is_kept(build, teller, load):
    build(gpu())
    answer = load(teller, gpu=0, memory="1 GiB", env={"XLA_CLIENT_MEM_FRACTION": ".3"})()
    assert (answer["limit"], answer["XLA_CLIENT_MEM_FRACTION"]) == (GIB // 2, ".3")
    assert answer["XLA_PYTHON_CLIENT_MEM_FRACTION"] is None


def test_another_limit_makes_another_instance_and_is_its_need_of_memory(build, folder, load):
    build(gpu())
    path = folder(memory="70 GB")
    first = load(path, gpu=0, memory="20 GB", share=True)
    assert (first.record.limit, first.record.memory) == (20 * GB, 20 * GB)
    assert load(path, gpu=0, memory=20 * GB, share=True).record.id == first.record.id
    other = load(path, gpu=0, memory="30 GB", share=True)
    assert other.record.id != first.record.id


def test_a_model_that_exceeds_its_limit_for_long_is_marked_until_it_does_not(build, teller, load, tmp_path):
    machine = build(gpu())
    model = load(teller, gpu=0, memory="10 GB")
    (pid,) = of_instance(model.record.id)[-1:]
    (seen,) = registry.running()
    assert seen.over_since is None

    before = time.time()
    machine.hold(pid, 12 * GB)
    (seen,) = until(lambda: [each for each in registry.running() if each.over_since])
    assert before <= seen.over_since <= time.time()
    assert "ready, over its memory limit since " in repr(Listing(read_overview(measured=False), seen.owner))
    (listed,) = described()
    assert "ready, over its limit" in row(listed)
    assert listed["limit"] == 10 * GB
    (event,) = [each for each in events.read(tmp_path / "runtime") if each["event"] == "over"]
    assert event["text"] == "teller holds 12.0 GB of GPU memory; its limit is 10.0 GB"

    lists = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses")
    machine.fail(**dict.fromkeys(lists, 3))  # the driver reports nothing, so the mark stays
    time.sleep(0.4)
    assert registry.running()[0].over_since == seen.over_since
    machine.fail(**dict.fromkeys(lists, 0))
    machine.description["processes"][0]["memory"] = int(10.9 * GB)
    machine.write()
    until(lambda: registry.running()[0].over_since is None)


def test_a_model_that_frees_all_its_memory_is_unmarked(build, teller, load):
    machine = build(gpu())
    model = load(teller, gpu=0, memory="10 GB")
    machine.hold(of_instance(model.record.id)[-1], 12 * GB)
    until(lambda: registry.running()[0].over_since)
    machine.description["processes"].clear()
    machine.write()
    until(lambda: registry.running()[0].over_since is None)


def test_a_short_peak_makes_no_mark(build, teller, load):
    machine = build(gpu())
    record = load(teller, gpu=0, memory="10 GB").record
    machine.hold(of_instance(record.id)[-1], 12 * GB)
    first_seen = {}
    memory_limit.check([record], first_seen)
    assert list(first_seen) == [record.id]
    machine.description["processes"].clear()
    machine.hold(of_instance(record.id)[-1], 8 * GB)
    time.sleep(0.4)  # longer than a peak may last
    memory_limit.check([record], first_seen)
    assert first_seen == {}
    assert registry.running()[0].over_since is None


def test_the_limit_watcher_runs_only_while_a_model_has_a_limit(build, teller, load, monkeypatch):
    build(gpu())
    asked = []
    monkeypatch.setattr(memory_limit, "check", lambda *_: asked.append(1))
    model = load(teller, gpu=0)
    time.sleep(0.3)
    assert not asked
    model.stop()
    limited = load(teller, gpu=0, memory="10 GB")
    until(lambda: asked)
    limited.stop()
    until(lambda: not memory_limit.LIMIT_WATCHER._runs)
