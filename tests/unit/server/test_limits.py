"""The memory limit in the author's framework, with fakes of torch and tensorflow.

The calls were tried with the real tensorflow 2.21 and jax 0.10, which can be configured without a GPU. Those of torch
are from its documentation and source.
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
        self.shares[index], self.current = share, index  # older versions leave this device the current one
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
def import_with(tmp_path, monkeypatch):
    """A function: `import_with(limit, torch=SOURCE)` imports a module of that name and source under a limit."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(tmp_path)

    def make(limit, **source):
        if limit:
            monkeypatch.setenv("GPUMODELS_MEMORY_LIMIT", str(limit))
        limits.limit_frameworks()
        ((name, text),) = source.items()
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        assert importlib.util.find_spec(name) is not None  # as a program does for which the framework is optional
        importlib.import_module(name)
        return sys.modules.pop(name)

    return make


def test_the_limit_is_set_in_torch_only_when_cuda_is_first_used(import_with):
    torch = import_with(4 << 30, torch=TORCH)
    assert not torch.cuda.initialised
    torch.cuda.touch()
    assert torch.cuda.shares == {0: 0.5, 1: 1.0}
    assert torch.cuda.current == 0


def test_an_unknown_version_of_a_framework_loads_without_the_limit(import_with, capfd):
    assert import_with(4 << 30, torch="cuda = None\n").cuda is None
    assert "the limit of GPU memory could not be set in torch: AttributeError" in capfd.readouterr().err
    torch = import_with(4 << 30, torch=TORCH.replace("def get_device_properties", "def other"))
    torch.cuda.touch()
    assert "AttributeError" in capfd.readouterr().err


def test_tensorflow_takes_the_limit_on_each_gpu_and_set_memory_growth_does_nothing(import_with):
    tensorflow = import_with(3 << 30, tensorflow=TENSORFLOW)
    assert tensorflow.limits == {"one": [3072], "two": [3072]}
    tensorflow.config.experimental.set_memory_growth("one", enable=True)


def test_without_a_limit_nothing_is_changed(import_with):
    before = list(sys.meta_path)
    assert import_with(0, torch=TORCH).cuda.queued == []
    assert sys.meta_path == before


def test_importing_a_framework_that_is_not_installed_fails_as_usual(import_with):
    import_with(4 << 30, torch=TORCH)
    with pytest.raises(ModuleNotFoundError, match="No module named 'tensorflow'"):
        importlib.import_module("tensorflow")


def test_memory_limit_returns_the_limit(monkeypatch):
    assert gpumodels.server.memory_limit() is None
    monkeypatch.setenv("GPUMODELS_MEMORY_LIMIT", "1000")
    assert gpumodels.server.memory_limit() == 1000
