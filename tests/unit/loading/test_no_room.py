"""The message of a load if no GPU has room for the model."""

from __future__ import annotations

import os

from gpumodels.attribution import DeviceUsage, Share, Usage
from gpumodels.devices import Device, Full, Room, Snapshot
from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.loading.eviction import Candidate
from gpumodels.loading.no_room import no_room
from tests.fakes.nvml import GB


def room(index=0, free=10, total=80, promised=0):
    device = Device(f"GPU-{index}", index, "NVIDIA H100", total * GB)
    return Room(Snapshot(device, (total - free) * GB, free * GB), (free - promised) * GB, promised * GB)


def idle(seconds, pid=1, kernel="k1", name="ctpn"):
    record = InstanceRecord("ctpn-3f9a", name, "docker", Owner(pid, kernel, "/home/ada/demo.ipynb"), 0.0)
    return Candidate(record, seconds)


def model(memory=50, instance="ctpn-3f9a"):
    return Share("model", "ctpn", memory * GB, "/home/ada/demo.ipynb", instance)


def message(*shares, rooms=None, known=(), helps=(), needed=20):
    rooms = [room()] if rooms is None else rooms
    usage = Usage(0.0, tuple(DeviceUsage(each.seen, shares) for each in rooms))
    text = str(no_room("big", Full(needed * GB, rooms), usage, known, helps))
    start = f"big cannot be placed: {needed}.0 GB of free GPU memory are needed. "
    assert text.startswith(start)
    return text.removeprefix(start)


def test_a_model_is_named_with_its_notebook_its_idle_time_and_the_line_that_frees_it():
    assert message(model(), known=[idle(754.0)]) == (
        "GPU 0 (NVIDIA H100) has 10.0 GB free of 80.0 GB: "
        "ctpn of demo.ipynb holds 50.0 GB, idle for 12 min (`gpumodels stop ctpn-3f9a` frees it)."
    )
    assert "idle for 3 h" in message(model(), known=[idle(3 * 3600.0)])
    assert "idle for 42 s" in message(model(), known=[idle(42.0)])
    assert "holds 50.0 GB, at work (" in message(model(), known=[idle(0.0)])
    assert "holds 50.0 GB (" in message(model(), known=[idle(None)])


def test_the_message_names_the_magic_that_stops_a_model_of_this_notebook():
    assert "(`%stop_model ctpn` frees it)" in message(model(), known=[idle(60.0, pid=os.getpid())])
    assert "(`gpumodels stop ctpn-3f9a` frees it)" in message(model(), known=[idle(60.0, pid=os.getpid(), kernel="")])


def test_a_kernel_is_named_by_its_notebook():
    kernel = Share("kernel", "train.ipynb", 60 * GB, "/home/ada/train.ipynb", kernel_id="k2", pids=(4711,))
    assert message(kernel).endswith(
        "has 10.0 GB free of 80.0 GB: the kernel of train.ipynb holds 60.0 GB (shut down the kernel of train.ipynb)."
    )


def test_other_programs_other_users_and_unaccounted_memory_are_named():
    process = Share("process", "python train.py (pid 4711)", 40 * GB, pids=(4711,))
    others, rest = Share("others", "other users", 20 * GB), Share("unaccounted", "unaccounted", 10 * GB)
    assert message(process, others, rest).endswith(
        ": python train.py (pid 4711) holds 40.0 GB; other users hold 20.0 GB; 10.0 GB are unaccounted for."
    )


def test_the_message_stays_short():
    """Name only a few GPUs, with one sentence each, and only their largest holders."""
    text = message(*(model(9 - n, f"ctpn-{n}") for n in range(6)), rooms=[room(index) for index in range(16)])
    assert text.count("free of") == 4
    assert text.count("frees it") == 12
    assert text.count("3 more hold less.") == 4
    assert text.endswith("12 more GPUs have no more.")


def test_the_gpu_with_most_room_comes_first_and_a_gpu_that_is_too_small_is_named():
    text = message(rooms=[room(0, 1), room(1, 5), room(2, 15, 16)])
    assert text == (
        "GPU 2 (NVIDIA H100) has 16.0 GB in all. GPU 1 (NVIDIA H100) has 5.0 GB free of 80.0 GB. "
        "GPU 0 (NVIDIA H100) has 1.0 GB free of 80.0 GB."
    )


def test_memory_that_is_promised_to_loading_models_is_reported():
    assert message(rooms=[room(0, 40, promised=30)]).endswith(
        "has 10.0 GB free of 80.0 GB, not counting 30.0 GB promised to models that are loading."
    )


def test_evict_is_advised_if_it_helps():
    assert message(model(), known=[idle(60.0)], helps=[idle(60.0)]).endswith(
        " `--evict` would put ctpn to sleep to make room."
    )
