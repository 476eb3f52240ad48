"""Which GPUs there are, and what they hold now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.devices import nvml
from gpumodels.devices.device import Device, Holding, Snapshot
from gpumodels.devices.nvml import Ask, optional

if TYPE_CHECKING:
    from collections.abc import Iterator

#: `nvmlMemory_v2`: version and size of the structure that sets apart what the driver reserves for itself.
_MEMORY_V2 = 0x02000028


def devices() -> tuple[Device, ...]:
    """Every GPU that the driver shows, in index order, each followed by its slices; () where there is none."""
    try:
        return nvml.read(lambda ask: tuple(_devices(ask)))
    except nvml.NotAvailable:
        return ()


def snapshot(device: Device) -> Snapshot:
    """`device` now; all of it "not available" (None) when the driver does not answer."""
    try:
        return nvml.read(lambda ask: _snapshot(ask, device))
    except nvml.NotAvailable:
        return Snapshot(device)


def driver_trouble() -> str:
    """Why the driver shows no GPU, as a clause; "" when it shows at least one."""
    try:
        count = nvml.read(lambda ask: ask("nvmlDeviceGetCount"))
    except nvml.NotAvailable as reason:
        return str(reason)
    if not count:
        return "the NVIDIA driver sees no GPU"
    return "" if devices() else "no GPU of this machine answers (see nvidia-smi)"


def _devices(ask: Ask) -> Iterator[Device]:
    for index in range(ask("nvmlDeviceGetCount")):
        # A GPU that fell off the bus, or that is not ours to open, must not hide the others.
        handle = optional(ask, "nvmlDeviceGetHandleByIndex", index)
        uuid = handle and optional(ask, "nvmlDeviceGetUUID", handle)
        if not uuid:
            continue
        mode = optional(ask, "nvmlDeviceGetMigMode", handle)
        sliced = bool(mode and mode[0])
        yield Device(uuid, index, _name(ask, handle), _total(ask, handle), sliced=sliced)
        if sliced:
            yield from _slices(ask, handle, uuid, index)


def _slices(ask: Ask, parent: Any, parent_uuid: str, index: int) -> Iterator[Device]:
    for number in range(optional(ask, "nvmlDeviceGetMaxMigDeviceCount", parent) or 0):
        handle = optional(ask, "nvmlDeviceGetMigDeviceHandleByIndex", parent, number)
        uuid = handle and optional(ask, "nvmlDeviceGetUUID", handle)
        if uuid:
            yield Device(uuid, index, _name(ask, handle), _total(ask, handle), parent_uuid, number)


def _name(ask: Ask, handle: Any) -> str:
    return optional(ask, "nvmlDeviceGetName", handle) or "NVIDIA GPU"


def _total(ask: Ask, handle: Any) -> int | None:
    memory = _memory(ask, handle)
    return None if memory is None else int(memory.total)


def _memory(ask: Ask, handle: Any) -> Any:
    newer = optional(ask, "nvmlDeviceGetMemoryInfo", handle, _MEMORY_V2)
    return newer or optional(ask, "nvmlDeviceGetMemoryInfo", handle)


def _snapshot(ask: Ask, device: Device) -> Snapshot:
    handle = ask("nvmlDeviceGetHandleByUUID", device.uuid)
    memory = _memory(ask, handle)
    if memory is None:
        return Snapshot(device, processes=_processes(ask, handle))
    return Snapshot(device, int(memory.used), int(memory.free), _processes(ask, handle))


def _processes(ask: Ask, handle: Any) -> tuple[Holding, ...] | None:
    lists = [_running(ask, kind, handle) for kind in ("Compute", "Graphics")]
    if lists == [None, None]:
        return None
    held: dict[int, int | None] = {}
    for process in (process for one in lists for process in one or ()):
        # A process that computes and draws is in both lists, with all of its memory in each.
        known = held.get(process.pid)
        held[process.pid] = known if process.usedGpuMemory is None else max(known or 0, process.usedGpuMemory)
    return tuple(sorted((Holding(*item) for item in held.items()), key=lambda item: -(item.memory or 0)))


def _running(ask: Ask, kind: str, handle: Any) -> list[Any] | None:
    for version in ("v3", "v2"):  # v2 for drivers before 510
        found: list[Any] | None = optional(ask, f"nvmlDeviceGet{kind}RunningProcesses_{version}", handle)
        if found is not None:
            return found
    return None
