"""The memory of each device, split by holder, also on machines with faulty drivers or devices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import count

import pytest

import gpumodels
from gpumodels.attribution import Holders, Look, Sampler, Share, as_json, processes
from gpumodels.attribution.colours import PALETTE, index
from gpumodels.attribution.shares import split as split_memory
from gpumodels.devices import Device, Holding, Snapshot
from gpumodels.lease.processes import INSTANCE_MARK
from tests.fakes.nvml import GB, gpu, mig_slice
from tests.unit.attribution.test_holders import KERNEL, STRANGER

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED = 3, 4, 9
#: The id of no process: it is above the largest process id of Linux.
NO_PROCESS = 2**22 + 1


@pytest.fixture
def split(usage):
    """A function that returns the kind, name and memory in GB of each share of a device."""

    def look(*records, device=0):
        shares = usage(*records).devices[device].shares
        return [(share.kind, share.name, share.memory and share.memory / GB) for share in shares]

    return look


def test_memory_is_split_by_holder_the_largest_first_and_unaccounted_memory_last(build, process, record, split):
    machine = build(gpu(used=9 * GB, reserved=GB))
    model, kernel = process(**{INSTANCE_MARK: "ctpn-1a2b"}), process("-f", KERNEL, JPY_SESSION_NAME="/me/train.ipynb")
    machine.hold(model.pid, 3 * GB)
    machine.hold(kernel.pid, 7 * GB)
    assert split(record()) == [
        ("kernel", "train.ipynb", 7), ("model", "ctpn", 3), ("unaccounted", "unaccounted", 9)
    ]  # fmt: skip


@pytest.mark.root
def test_other_users_are_one_share_without_process_ids(build, process, usage):
    machine = build(gpu(used=GB))
    for _ in range(2):
        machine.hold(process(user=STRANGER).pid, 2 * GB)
    assert usage().devices[0].shares == (
        Share("others", "other users", 4 * GB), Share("unaccounted", "unaccounted", GB)
    )  # fmt: skip


def test_processes_of_one_holder_are_one_share(build, process, record, usage):
    machine = build(gpu())
    several = [process(**{INSTANCE_MARK: "ctpn-1a2b"}).pid for _ in range(3)]
    for pid in several:
        machine.hold(pid, 2 * GB)
    (share,) = usage(record()).devices[0].shares
    assert (share.memory, sorted(share.pids)) == (6 * GB, sorted(several))


def test_a_process_on_several_devices_has_a_share_of_each(build, process, split):
    machine = build(gpu(), gpu(), gpu(mig=1, slices=[mig_slice("MIG-a"), mig_slice("MIG-b")]))
    kernel = process("-f", KERNEL, JPY_SESSION_NAME="/me/train.ipynb")
    machine.hold(kernel.pid, 1 * GB, gpu=0)
    machine.hold(kernel.pid, 2 * GB, gpu=1)
    machine.hold(kernel.pid, 3 * GB, gpu=2, slice=1)
    found = [split(device=number) for number in range(5)]
    name = ("kernel", "train.ipynb")
    assert found == [[(*name, 1)], [(*name, 2)], [(*name, 3)], [], [(*name, 3)]]


def test_the_memory_of_an_ended_process_is_unaccounted(build, process, split, tmp_path):
    machine = build(gpu())
    machine.hold(NO_PROCESS, 2 * GB, while_exists=str(tmp_path))  # the driver still shows it
    assert split() == [("unaccounted", "unaccounted", 2)]


def test_processes_are_named_even_if_the_driver_does_not_report_their_memory(build, process, split):
    machine = build(gpu(used=4 * GB))
    machine.description["processes"] = [{"pid": process("-f", KERNEL, JPY_SESSION_NAME="/a.ipynb").pid, "gpu": 0}]
    machine.write()
    assert split() == [("kernel", "a.ipynb", None), ("unaccounted", "unaccounted", 4)]


def test_all_memory_is_unaccounted_if_the_driver_lists_no_processes(build, split):
    machine = build(gpu(used=4 * GB))
    machine.hold(os.getpid(), GB)
    machine.fail(  # as on WSL
        nvmlDeviceGetComputeRunningProcesses=NOT_SUPPORTED, nvmlDeviceGetGraphicsRunningProcesses=NOT_SUPPORTED
    )
    assert split() == [("unaccounted", "unaccounted", 5)]


def test_processes_that_are_listed_only_for_slices_are_listed_for_their_gpu_too():
    whole, piece = Device("GPU-a", 0, "A100", sliced=True), Device("MIG-a", 0, "1g", parent="GPU-a", slice_index=0)
    held = Snapshot(piece, GB, 9 * GB, (Holding(os.getpid(), GB),))
    seen = (Snapshot(whole, 3 * GB, 77 * GB, None), held)
    shares = split_memory(seen[0], seen, Holders(Look(), []))
    assert [(share.kind, share.memory) for share in shares] == [("process", GB), ("unaccounted", 2 * GB)]


def test_all_memory_is_unaccounted_in_a_container_with_other_process_ids(build, split, monkeypatch):
    machine = build(gpu())
    machine.hold(os.getpid(), GB)
    assert [kind for kind, _, _ in split()] == ["process"]
    monkeypatch.setattr(processes, "_FIRST_NAMESPACE", 1)
    assert split() == [("unaccounted", "unaccounted", 1)]


def test_without_a_driver_the_usage_has_the_reason(build, usage):
    build(gpu()).fail(nvmlInit=NO_PERMISSION, nvmlDeviceGetCount=NO_PERMISSION)
    seen = usage()
    assert (seen.devices, seen.trouble) == ((), "no permission to use the NVIDIA driver (/dev/nvidia*)")


def test_devices_that_the_administrator_does_not_allow_are_marked(build, usage, monkeypatch, tmp_path):
    build(gpu(), gpu())
    (tmp_path / "environ").write_bytes(b"CUDA_VISIBLE_DEVICES=1\0")
    monkeypatch.setattr("gpumodels.devices.allowlist._INITIAL", tmp_path / "environ")
    assert [device.allowed for device in usage().devices] == [False, True]


def test_a_usage_as_plain_values_has_all_facts(build, process, record, usage):
    machine = build(gpu(utilisation=12, temperature=40, power=70_500, power_limit=700_000))
    model = process(**{INSTANCE_MARK: "ctpn-1a2b"})
    machine.hold(model.pid, GB)
    seen = usage(record())
    (device,) = as_json(seen)["devices"]
    assert device["shares"] == [
        {"kind": "model", "name": "ctpn", "memory": GB, "notebook": "/home/me/demo.ipynb",
         "colour": PALETTE["model"][index("ctpn-1a2b")],
         "instance": "ctpn-1a2b", "kernel_id": "kernel-id", "pids": [model.pid], "over_limit": False}
    ]  # fmt: skip
    readings = ("memory_used", "memory_free", "utilisation", "temperature", "power", "power_limit", "trouble")
    assert [device[name] for name in readings] == [GB, 79 * GB, 12, 40, 70.5, 700.0, ""]


def test_concurrent_viewers_share_one_sample(build):
    build(gpu())
    asked = []
    sampler = Sampler(lambda: asked.append(1) or [], interval=3600)
    threads = [threading.Thread(target=sampler.recent) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert sampler.now().moment >= sampler.recent().moment
    assert len(asked) == 2


def test_a_forked_child_takes_its_own_sample_even_while_a_thread_of_its_parent_takes_one(build):
    code = """
import os, threading
from gpumodels.attribution import Sampler
inside, leave = threading.Event(), threading.Event()
def running():
    if os.getpid() == parent:
        inside.set(); leave.wait()
    return []
parent, sampler = os.getpid(), Sampler(running)
thread = threading.Thread(target=sampler.now)
thread.start()
inside.wait()
child = os.fork()
if not child:
    os._exit(len(sampler.recent().devices))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave.set()
thread.join()
"""
    environment = {**os.environ, **build(gpu(), gpu()).environment()}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True, timeout=60)
    assert printed.strip() == "2"


def test_a_machine_that_changes_during_a_sample_raises_no_error(build, usage):
    """Split GPUs into slices and join them again, remove and add GPUs, and restart the driver, all during samples."""
    machine = build(*(gpu() for _ in range(16)))
    stop, seen = threading.Event(), set()

    def change():
        for number in count():
            if stop.wait(0.001):
                return
            pieces = [mig_slice(f"MIG-{number}-{piece}") for piece in range(number % 8)]
            machine.change(number % 16, mig=number % 2, slices=pieces, lost=number % 5 == 0)
            if number % 50 == 0:
                machine.restart_driver()
                machine.fail(nvmlInit=DRIVER_NOT_LOADED if number % 100 == 0 else 0)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        while not {"MIG", "lost", "no driver"} <= seen:
            for device in (now := usage()).devices:
                seen.add("lost" if device.snapshot.trouble else "MIG" if device.snapshot.device.is_mig else "whole")
            seen |= {"no driver"} if now.trouble else set()
    finally:
        stop.set()
        thread.join()
    machine.fail(nvmlInit=0)
    assert len({device.snapshot.device.index for device in usage().devices}) == 16


def test_the_package_has_the_function_usage(build, monkeypatch):
    machine = build(gpu())
    machine.hold(os.getpid(), GB)
    seen = gpumodels.usage()
    assert isinstance(seen, gpumodels.Usage)
    assert seen.devices[0].shares[0].pids == (os.getpid(),)
