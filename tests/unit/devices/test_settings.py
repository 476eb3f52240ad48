"""The environment of an instance: it shows the instance's devices and no others."""

from __future__ import annotations

import os

from gpumodels.devices import environment, select
from tests.fakes.nvml import gpu, mig_slice


def test_a_container_gets_uuids_for_cuda_and_for_the_runtime(build):
    build(gpu(uuid="GPU-aa"), gpu(uuid="GPU-bb"))
    assert environment(select("1,0"), container=True) == {
        "CUDA_VISIBLE_DEVICES": "GPU-bb,GPU-aa",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": "GPU-bb,GPU-aa",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    }


def test_a_process_gets_uuids_for_cuda(build):
    build(gpu(mig=1, slices=[mig_slice("MIG-aa")]))
    expected = {"CUDA_VISIBLE_DEVICES": "MIG-aa", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert environment(select("auto"), container=False) == expected


def test_no_device_hides_every_gpu():
    assert environment((), container=False) == {"CUDA_VISIBLE_DEVICES": ""}
    assert environment((), container=True) == {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}


def test_the_notebook_s_own_environment_is_left_alone(build):
    build(gpu())
    before = dict(os.environ)
    environment(select(0), container=True)
    assert dict(os.environ) == before
