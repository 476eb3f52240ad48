"""The administrator's allow-list: CUDA_VISIBLE_DEVICES of the environment that the kernel was started with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gpumodels.devices import allowlist, devices, select, why_none
from gpumodels.errors import DeviceError
from tests.fakes.nvml import GB, gpu, mig_slice


@pytest.fixture
def four(build):
    return build(*(gpu(memory=80 * GB, used=(4 - n) * GB) for n in range(4)))


def indices(asked):
    return [device.index for device in select(asked)]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("0,2", [0, 2]),
        ("2, 0", [0, 2]),
        ("GPU-1111,GPU-33333333-0000-4000-8000-000000000003", [1, 3]),
        ("2,2", [2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("1,11111111,2", [1]),
        ("1,22222222-0000,3", [1]),
        ("0,GPU-,2", [0]),
        ("3,,2", [3]),
    ],
)
def test_the_list_is_read_as_cuda_reads_it(four, administer, listed, expected):
    administer(listed)
    assert [device.index for device in allowlist.admitted(devices())] == expected


def test_auto_stays_inside_the_list(four, administer):
    administer("0,2")
    assert indices("auto") == [2]
    assert indices("auto:2") == [0, 2]
    with pytest.raises(DeviceError, match=r"auto:3 needs 3 GPUs, and there are 2: "):
        select("auto:3")


def test_a_gpu_outside_is_refused_by_name(four, administer):
    administer("0,2")
    with pytest.raises(DeviceError) as caught:
        select("0,1")
    assert str(caught.value) == ("GPU 1 (NVIDIA H100) is outside the GPUs that your administrator allows (0, 2).")


def test_an_empty_list_allows_no_gpu(four, administer):
    administer("")
    assert select("auto") == ()
    assert why_none() == "your administrator allows no GPU (CUDA_VISIBLE_DEVICES)"
    with pytest.raises(DeviceError, match=r"outside the GPUs that your administrator allows \(none\)"):
        select(0)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("0", ["MIG-aaaa", "MIG-bbbb"]), ("MIG-bbbb", ["MIG-bbbb"]), ("1", [])],
)
def test_slices_are_admitted_by_themselves_or_with_their_gpu(build, administer, listed, expected):
    build(gpu(mig=1, slices=[mig_slice("MIG-aaaa"), mig_slice("MIG-bbbb")]), gpu())
    administer(listed)
    assert [device.uuid for device in allowlist.admitted(devices()) if device.is_mig] == expected


def test_a_slice_outside_is_refused_by_name(build, administer):
    build(gpu(mig=1, slices=[mig_slice("MIG-aaaa-1"), mig_slice("MIG-bbbb-2")]))
    administer("MIG-bbbb-2")
    with pytest.raises(DeviceError, match=r"^GPU 0 slice 0 .* is outside .* allows \(MIG-bbbb\)\.$"):
        select("MIG-aaaa")
    with pytest.raises(DeviceError, match=r"name one of its slices: GPU 0 slice 1 [^,]*, MIG-bbbb\)\.$"):
        select(0)


def test_a_variable_that_a_notebook_sets_later_changes_nothing(four):
    script = """
import os
from gpumodels.devices import select
os.environ["CUDA_VISIBLE_DEVICES"] = "0,1,2,3"
print(*select("auto:2"))
"""
    environment = os.environ | four.environment() | {"CUDA_VISIBLE_DEVICES": "0,2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "GPU 0 (NVIDIA H100) GPU 2 (NVIDIA H100)\n"


def test_without_proc_the_current_environment_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(allowlist, "_INITIAL", tmp_path / "nothing")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert allowlist.allow_list() == "1"
