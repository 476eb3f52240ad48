"""The fake driver: it answers nvidia-ml-py like a real driver, as far as the tests rely on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.fakes.nvml import GB, Machine, gpu, mig_slice

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def machine(build) -> Iterator[Machine]:
    described = build(
        gpu(
            'Größe "A" {[,',
            80 * GB,
            uuid="GPU-aa",
            pci="00000000:01:00.0",
            utilisation=12,
            temperature=40,
            power=70_000,
        ),
        gpu(
            "NVIDIA A100", 40 * GB, uuid="GPU-bb", mig=1, slices=[mig_slice("MIG-cc")], errors={"nvmlDeviceGetName": 15}
        ),
    )
    pynvml.nvmlInit()
    yield described
    pynvml.nvmlShutdown()


def test_the_driver_names_its_versions(machine):
    assert pynvml.nvmlSystemGetDriverVersion() == "550.54.15"
    assert pynvml.nvmlSystemGetCudaDriverVersion() == 12040


def test_handles_come_by_index_uuid_and_bus(machine):
    handles = [
        pynvml.nvmlDeviceGetHandleByIndex(0),
        pynvml.nvmlDeviceGetHandleByUUID("GPU-aa"),
        pynvml.nvmlDeviceGetHandleByPciBusId("00000000:01:00.0"),
    ]
    assert [pynvml.nvmlDeviceGetUUID(handle) for handle in handles] == ["GPU-aa"] * 3


def test_odd_characters_in_the_file_are_read_correctly(machine):
    assert pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)) == 'Größe "A" {[,'
    machine.path.write_text(json.dumps(machine.description, indent=3, sort_keys=True, ensure_ascii=False))
    assert pynvml.nvmlDeviceGetCount() == 2


def test_sensors(machine):
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 12
    assert pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU) == 40
    assert pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU) == 40
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 70_000
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(1))


def test_slices_know_their_gpu(machine):
    parent = pynvml.nvmlDeviceGetHandleByIndex(1)
    piece = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 0)
    assert pynvml.nvmlDeviceIsMigDeviceHandle(piece).value
    assert not pynvml.nvmlDeviceIsMigDeviceHandle(parent).value
    found = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(piece)
    assert pynvml.nvmlDeviceGetUUID(found) == "GPU-bb"
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 1)


def test_errors_can_be_set_for_one_gpu_or_for_all(machine):
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(1))
    machine.fail(nvmlDeviceGetUUID=4)
    with pytest.raises(pynvml.NVMLError_NoPermission):
        pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0))
