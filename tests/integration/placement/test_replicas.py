"""Placement of replicas: they are spread over the GPUs, and so is the replacement of one that died."""

import os
import signal
from contextlib import suppress

import pytest

from gpumodels.errors import DeviceError
from gpumodels.lease.processes import of_instance
from tests.fakes.nvml import GB, gpu
from tests.leftovers import until


def _devices(model):
    return [each.record.device for each in model.replicas]


def test_each_replica_takes_its_own_gpu_until_they_have_to_share(build, folder, load):
    build(gpu(memory=80 * GB), gpu(memory=40 * GB))
    model = load(folder(), replicas=3)
    assert sorted(_devices(model)) == ["GPU 0", "GPU 0", "GPU 1"]
    assert repr(model) == "<Model teller, 3 replicas on GPU 0, GPU 1, fake, ready>"


def test_a_replica_that_died_is_replaced_on_the_gpu_without_another(build, folder, load):
    build(gpu(memory=80 * GB), gpu(memory=40 * GB))
    model = load(folder(), replicas=2)
    smaller = next(each for each in model.replicas if each.record.device == "GPU 1")
    before = smaller.record.id
    for pid in of_instance(before):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: smaller.alive and smaller.record.id != before, within=60)
    assert smaller.record.device == "GPU 1"


def test_if_there_is_room_for_one_replica_only_none_is_left(build, folder, load, leftovers):
    build(gpu(memory=15 * GB))
    with pytest.raises(DeviceError, match="teller"):
        load(folder(memory="10 GB"), replicas=2)
    assert leftovers.directories() == []


def test_auto_2_gives_each_replica_two_gpus(build, folder, load):
    build(gpu(), gpu(), gpu(), gpu())
    assert sorted(_devices(load(folder(), gpu="auto:2", replicas=2))) == ["GPU 0, 1", "GPU 2, 3"]
