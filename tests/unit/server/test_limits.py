"""What the author's framework is told of the memory limit, by stand-ins that behave as the real ones do there.

The calls were tried with tensorflow 2.21 and jax 0.10, which need no GPU to be configured; torch's are those of its
documentation and source.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

import gpumodels.server
from gpumodels.server import limits

TORCH = """
from types import SimpleNamespace
class Cuda:
    def __init__(self):
        self.initialised, self.current, self.shares, self.queued = False, 0, {}, []
    def _lazy_call(self, call):
        call() if self.initialised else self.queued.append(call)
    def touch(self):
        self.initialised = True
        for call in self.queued:
            call()
    def device_count(self):
        return 2
    def get_device_properties(self, index):
        assert self.initialised
        return SimpleNamespace(total_memory=(8 << 30, 2 << 30)[index])
    def set_per_process_memory_fraction(self, share, index):
        assert self.initialised and 0 <= share <= 1
        self.shares[index], self.current = share, index  # older ones stay on that device
    def device(self, index):
        return Device(self)
class Device:
    def __init__(self, cuda): self.cuda = cuda
    def __enter__(self): self.before = self.cuda.current
    def __exit__(self, *_): self.cuda.current = self.before
cuda = Cuda()
"""

TENSORFLOW = """
from types import SimpleNamespace
limits = {}
def grow(gpu, enable):
    if gpu in limits:
        raise ValueError("Cannot set memory growth on device when virtual devices configured")
config = SimpleNamespace(
    list_physical_devices=lambda kind: ["one", "two"] if kind == "GPU" else [],
    LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
    set_logical_device_configuration=lambda gpu, rooms: limits.update({gpu: rooms}),
    experimental=SimpleNamespace(set_memory_growth=grow),
)
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """`told(limit, torch=SOURCE)` imports such a module where there is such a limit."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(tmp_path)

    def make(limit, **source):
        if limit:
            monkeypatch.setenv("GPUMODELS_MEMORY_LIMIT", str(limit))
        limits.limit_frameworks()
        ((name, text),) = source.items()
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        assert importlib.util.find_spec(name) is not None  # as programs ask that can do with or without
        importlib.import_module(name)
        return sys.modules.pop(name)

    return make


def test_torch_is_told_when_it_first_touches_a_gpu_and_not_before(told):
    torch = told(4 << 30, torch=TORCH)
    assert not torch.cuda.initialised
    torch.cuda.touch()
    assert torch.cuda.shares == {0: 0.5, 1: 1.0}
    assert torch.cuda.current == 0


def test_a_framework_that_is_not_as_it_was_is_left_alone_and_loads(told, capfd):
    assert told(4 << 30, torch="cuda = None\n").cuda is None
    assert "the limit of GPU memory could not be set in torch: AttributeError" in capfd.readouterr().err
    torch = told(4 << 30, torch=TORCH.replace("def get_device_properties", "def other"))
    torch.cuda.touch()
    assert "AttributeError" in capfd.readouterr().err


def test_tensorflow_has_so_much_of_each_gpu_and_may_be_asked_to_grow(told):
    tensorflow = told(3 << 30, tensorflow=TENSORFLOW)
    assert tensorflow.limits == {"one": [3072], "two": [3072]}
    tensorflow.config.experimental.set_memory_growth("one", enable=True)


def test_without_a_limit_nothing_is_touched(told):
    before = list(sys.meta_path)
    assert told(0, torch=TORCH).cuda.queued == []
    assert sys.meta_path == before


def test_one_that_is_not_there_is_missed_as_ever(told):
    told(4 << 30, torch=TORCH)
    with pytest.raises(ModuleNotFoundError, match="No module named 'tensorflow'"):
        importlib.import_module("tensorflow")


def test_an_author_can_ask_for_the_limit(monkeypatch):
    assert gpumodels.server.memory_limit() is None
    monkeypatch.setenv("GPUMODELS_MEMORY_LIMIT", "1000")
    assert gpumodels.server.memory_limit() == 1000
