"""The GPUs of a machine and their readings, also while the machine changes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gpumodels.devices import Device, Holding, Snapshot, devices, snapshot, snapshots, why_none
from tests.fakes.nvml import GB, gpu, mig_slice

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED, FUNCTION_NOT_FOUND, GPU_IS_LOST, UNKNOWN = 3, 4, 9, 13, 15, 999


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
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie
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


def test_the_driver_s_own_reserve_is_neither_used_nor_free(build):
    build(gpu(memory=80 * GB, used=GB, reserved=2 * GB))
    (device,) = devices()
    assert (snapshot(device).memory_used, snapshot(device).memory_free) == (GB, 77 * GB)


def test_old_drivers_are_read_with_their_old_functions(build):
    machine = build(gpu(memory=80 * GB))
    machine.hold(os.getpid(), GB)
    machine.fail(
        nvmlDeviceGetMemoryInfo_v2=FUNCTION_NOT_FOUND,
        nvmlDeviceGetComputeRunningProcesses_v3=FUNCTION_NOT_FOUND,
        nvmlDeviceGetGraphicsRunningProcesses_v3=FUNCTION_NOT_FOUND,
    )
    (device,) = devices()
    assert snapshot(device) == Snapshot(device, GB, 79 * GB, (Holding(os.getpid(), GB),))


SENSORS = {"utilisation": 35, "temperature": 54, "power": 210_500, "power_limit": 700_000}
#: Fields of a snapshot, and the NVML functions that read them.
READINGS = {
    "memory_used": ("nvmlDeviceGetMemoryInfo",),
    "processes": ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"),
    "utilisation": ("nvmlDeviceGetUtilizationRates",),
    "temperature": ("nvmlDeviceGetTemperature",),
    "power": ("nvmlDeviceGetPowerUsage",),
    "power_limit": ("nvmlDeviceGetEnforcedPowerLimit",),
}


def test_sensors_are_read_in_percent_degrees_and_watts(build):
    build(gpu(**SENSORS))
    (seen,) = snapshots()
    assert (seen.utilisation, seen.temperature, seen.power, seen.power_limit) == (35, 54, 210.5, 700.0)
    assert snapshot(seen.device) == seen


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, UNKNOWN])
@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_fails_is_none_and_the_others_are_not(build, reading, code):
    machine = build(gpu(used=GB, **SENSORS))
    (whole,) = snapshots()
    machine.fail(**dict.fromkeys(READINGS[reading], code))
    (seen,) = snapshots()
    assert getattr(whole, reading) is not None
    lacking = {name for name in READINGS if getattr(seen, name) is None}
    assert lacking == {reading}
    assert seen.trouble == ""


def test_a_gpu_in_mig_mode_has_no_utilisation_and_its_slices_have_no_sensors(build):
    build(gpu(mig=1, slices=[mig_slice("MIG-aa")], **SENSORS))
    whole, piece = snapshots()
    assert (whole.utilisation, whole.temperature) == (None, 54)
    assert (piece.utilisation, piece.temperature, piece.power) == (None, None, None)


def test_a_gpu_that_falls_off_the_bus_says_so_and_the_others_go_on(build):
    machine = build(gpu(**SENSORS), gpu(**SENSORS))
    known = devices()
    machine.change(1, lost=True)
    other, lost = snapshots()
    assert (other.temperature, other.trouble) == (54, "")
    assert (lost.device.label, lost.memory_used, lost.temperature) == ("GPU 1", None, None)
    assert lost.trouble == snapshot(known[1]).trouble
    assert lost.trouble.startswith("it has fallen off the bus")
    assert devices() == known[:1]


def test_a_gpu_that_is_lost_while_it_is_read_is_reported_with_its_name(build):
    machine = build(gpu("NVIDIA A100"))
    machine.fail(nvmlDeviceGetTemperature=GPU_IS_LOST)
    (seen,) = snapshots()
    assert seen.device.name == "NVIDIA A100"
    assert seen.trouble.startswith("it has fallen off the bus")


def test_a_driver_that_is_restarted_between_two_readings_is_started_again(build):
    machine = build(gpu())
    before = snapshots()
    machine.restart_driver()
    assert snapshots() == before
    machine.fail(nvmlInit=DRIVER_NOT_LOADED)
    machine.restart_driver()
    assert snapshots() == ()
    assert snapshot(before[0].device) == Snapshot(before[0].device)
    machine.fail(nvmlInit=0)
    assert snapshots() == before


def test_slices_that_are_made_and_removed_are_seen_at_the_next_reading(build):
    machine = build(gpu(mig=0))
    assert len(snapshots()) == 1
    machine.change(0, mig=1, slices=[mig_slice("MIG-aa"), mig_slice("MIG-bb")])
    first = [seen.device for seen in snapshots()]
    assert [device.label for device in first] == ["GPU 0", "GPU 0 slice 0", "GPU 0 slice 1"]
    machine.change(0, slices=[mig_slice("MIG-cc")])
    assert [seen.device.uuid for seen in snapshots()][1:] == ["MIG-cc"]
    assert snapshot(first[1]) == Snapshot(first[1])


def test_processes_that_may_not_be_listed_are_none(build):
    machine = build(gpu())
    (device,) = devices()
    machine.fail(nvmlDeviceGetComputeRunningProcesses=4, nvmlDeviceGetGraphicsRunningProcesses=4)
    assert snapshot(device).processes is None


def test_a_gpu_without_name_or_size_is_listed(build):
    machine = build(gpu(uuid="GPU-aa"))
    machine.fail(nvmlDeviceGetName=NOT_SUPPORTED, nvmlDeviceGetMemoryInfo=NOT_SUPPORTED)
    assert devices() == (Device("GPU-aa", 0, "NVIDIA GPU", None),)


def test_a_device_that_has_gone_is_not_available(build):
    build(gpu())
    gone = Device("GPU-gone", 0, "NVIDIA H100", 80 * GB)
    assert snapshot(gone) == Snapshot(gone)
