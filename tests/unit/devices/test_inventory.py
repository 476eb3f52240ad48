"""What is seen of a machine's GPUs, while it changes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gpumodels.devices import Device, Holding, Snapshot, devices, snapshot, why_none
from tests.fakes.nvml import GB, gpu, mig_slice

NOT_SUPPORTED, GPU_IS_LOST, FUNCTION_NOT_FOUND = 3, 15, 13


def test_gpus_come_in_index_order_with_their_identity(build):
    build(gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA A100", 40 * GB, uuid="GPU-1b2c3d4e-aa"))
    first, second = devices()
    assert str(first) == "GPU 0 (NVIDIA H100)"
    assert second == Device("GPU-1b2c3d4e-aa", 1, "NVIDIA A100", 40 * GB)
    assert second.short_uuid == "GPU-1b2c3d4e"
    assert why_none() == ""


def test_slices_follow_their_gpu(build):
    build(gpu("NVIDIA A100", mig=1, slices=[mig_slice("MIG-aa"), mig_slice("MIG-bb", 20 * GB)]), gpu(mig=0))
    whole, first, second, other = devices()
    assert whole.sliced
    assert not whole.is_mig
    assert not other.sliced
    assert first.is_mig
    assert first.parent == second.parent == whole.uuid
    assert second.memory_total == 20 * GB
    assert str(second) == "GPU 0 slice 1 (NVIDIA H100 MIG 1g.10gb)"


def test_a_lost_gpu_does_not_hide_the_others(build):
    build(gpu(errors={"nvmlDeviceGetHandleByIndex": GPU_IS_LOST}), gpu("NVIDIA A100"))
    assert [str(device) for device in devices()] == ["GPU 1 (NVIDIA A100)"]


def test_a_machine_whose_only_gpu_is_lost_says_so(build):
    build(gpu(errors={"nvmlDeviceGetHandleByIndex": GPU_IS_LOST}))
    assert devices() == ()
    assert why_none() == "no GPU of this machine answers (see nvidia-smi)"


def test_a_driver_without_gpus_says_so(build):
    build()
    assert devices() == ()
    assert why_none() == "the NVIDIA driver sees no GPU"


def test_memory_is_read_anew_each_time(build):
    machine = build(gpu(memory=80 * GB, used=10 * GB))
    (device,) = devices()
    assert snapshot(device) == Snapshot(device, 10 * GB, 70 * GB, ())
    machine.description["gpus"][0]["used"] = 30 * GB
    machine.write()
    assert snapshot(device).memory_free == 50 * GB


def test_a_killed_process_holds_nothing_even_before_it_is_reaped(build):
    machine = build(gpu(memory=80 * GB))
    (device,) = devices()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        machine.hold(process.pid, 3 * GB)
        assert snapshot(device) == Snapshot(device, 3 * GB, 77 * GB, (Holding(process.pid, 3 * GB),))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie still
        assert snapshot(device) == Snapshot(device, 0, 80 * GB, ())


def test_a_process_of_another_namespace_counts_while_its_path_exists(build, tmp_path):
    life = tmp_path / "life"
    life.touch()
    machine = build(gpu(memory=80 * GB))
    machine.hold(4_000_000, 3 * GB, while_exists=str(life))
    (device,) = devices()
    assert snapshot(device).processes == (Holding(4_000_000, 3 * GB),)
    life.unlink()
    assert snapshot(device).memory_used == 0


def test_a_process_that_computes_and_draws_is_counted_once(build):
    machine = build(gpu())
    machine.hold(os.getpid(), 2 * GB)
    machine.hold(os.getpid(), 2 * GB, graphics=True)
    machine.hold(os.getppid(), 3 * GB, graphics=True)
    (device,) = devices()
    assert snapshot(device).processes == (Holding(os.getppid(), 3 * GB), Holding(os.getpid(), 2 * GB))


def test_memory_of_a_process_may_be_unknown(build):
    machine = build(gpu())
    machine.description["processes"] = [{"pid": os.getpid(), "gpu": 0}]
    machine.write()
    assert snapshot(devices()[0]).processes == (Holding(os.getpid(), None),)


def test_what_the_driver_reserves_is_neither_used_nor_free(build):
    build(gpu(memory=80 * GB, used=GB, reserved=2 * GB))
    (device,) = devices()
    assert (snapshot(device).memory_used, snapshot(device).memory_free) == (GB, 77 * GB)


def test_old_drivers_answer_by_their_old_functions(build):
    machine = build(gpu(memory=80 * GB))
    machine.hold(os.getpid(), GB)
    machine.fail(
        nvmlDeviceGetMemoryInfo_v2=FUNCTION_NOT_FOUND,
        nvmlDeviceGetComputeRunningProcesses_v3=FUNCTION_NOT_FOUND,
        nvmlDeviceGetGraphicsRunningProcesses_v3=FUNCTION_NOT_FOUND,
    )
    (device,) = devices()
    assert snapshot(device) == Snapshot(device, GB, 79 * GB, (Holding(os.getpid(), GB),))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("nvmlDeviceGetMemoryInfo", {"memory_used": None, "memory_free": None, "processes": ()}),
        ("nvmlDeviceGetHandleByUUID", {"memory_used": None, "memory_free": None, "processes": None}),
    ],
)
def test_what_the_driver_does_not_tell_is_none(build, function, expected):
    machine = build(gpu())
    (device,) = devices()
    machine.fail(**{function: NOT_SUPPORTED})
    assert snapshot(device) == Snapshot(device, **expected)


def test_processes_that_may_not_be_seen_are_none_rather_than_nobody(build):
    machine = build(gpu())
    (device,) = devices()
    machine.fail(nvmlDeviceGetComputeRunningProcesses=4, nvmlDeviceGetGraphicsRunningProcesses=4)
    assert snapshot(device).processes is None


def test_a_gpu_without_name_or_size_is_still_a_gpu(build):
    machine = build(gpu(uuid="GPU-aa"))
    machine.fail(nvmlDeviceGetName=NOT_SUPPORTED, nvmlDeviceGetMemoryInfo=NOT_SUPPORTED)
    assert devices() == (Device("GPU-aa", 0, "NVIDIA GPU", None),)


def test_a_device_that_has_gone_is_not_available(build):
    build(gpu())
    gone = Device("GPU-gone", 0, "NVIDIA H100", 80 * GB)
    assert snapshot(gone) == Snapshot(gone)
