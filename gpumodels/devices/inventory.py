"""The GPUs of the machine, and their readings now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gpumodels.devices import nvml
from gpumodels.devices.device import Device, Holding, Snapshot
from gpumodels.devices.nvml import Ask, optional

if TYPE_CHECKING:
    from collections.abc import Iterator

#: `nvmlMemory_v2`: version and size of the structure that reports the driver's own reserve separately.
_MEMORY_V2 = 0x02000028
#: The number of the temperature sensor that every GPU has.
_ON_THE_DIE = 0
_MILLI = 1000


def devices() -> tuple[Device, ...]:
    """Return all GPUs that the driver shows, in index order, each followed by its slices; () if there is none."""
    try:
        return nvml.read(lambda ask: tuple(_devices(ask)))
    except nvml.NotAvailable:
        return ()


def snapshot(device: Device) -> Snapshot:
    """Return the readings of a device now; all are None if the driver does not answer."""
    try:
        return nvml.read(lambda ask: _snapshot_by_uuid(ask, device))
    except nvml.FallenOff as reason:
        return Snapshot(device, trouble=str(reason))
    except nvml.NotAvailable:
        return Snapshot(device)


def snapshots() -> tuple[Snapshot, ...]:
    """Return the readings of all `devices()`, and of GPUs that the driver counts but that do not answer.

    A GPU that cannot be opened has the UUID "" and the name "NVIDIA GPU". Return () if there is no GPU or no driver.
    """
    try:
        return nvml.read(lambda ask: tuple(_snapshots(ask)))
    except nvml.NotAvailable:
        return ()


def driver_trouble() -> str:
    """Return the reason why the driver shows no GPU, as a clause; "" if it shows at least one."""
    try:
        count = nvml.read(lambda ask: ask("nvmlDeviceGetCount"))
    except nvml.NotAvailable as reason:
        return str(reason)
    if not count:
        return "the NVIDIA driver sees no GPU"
    return "" if devices() else "no GPU of this machine answers (see nvidia-smi)"


def driver_version() -> str:
    """Return the version of the driver, or "unknown"."""
    try:
        return str(nvml.read(lambda ask: ask("nvmlSystemGetDriverVersion")))
    except nvml.NotAvailable:
        return "unknown"


class _Opened(NamedTuple):
    """A device, its NVML handle, and its memory as NVML reports it (total, used, free), or None."""

    device: Device
    handle: Any
    memory: Any


def _devices(ask: Ask) -> Iterator[Device]:
    for index in range(ask("nvmlDeviceGetCount")):
        try:
            yield from (opened.device for opened in _open(ask, index))
        except nvml.FallenOff:  # one GPU that does not answer must not hide the others
            continue


def _snapshots(ask: Ask) -> Iterator[Snapshot]:
    for index in range(ask("nvmlDeviceGetCount")):
        try:
            opened = _open(ask, index)
        except nvml.FallenOff as reason:
            yield Snapshot(Device("", index, "NVIDIA GPU"), trouble=str(reason))
            continue
        for each in opened:
            try:
                yield _snapshot(ask, each)
            except nvml.FallenOff as reason:
                yield Snapshot(each.device, trouble=str(reason))


def _open(ask: Ask, index: int) -> list[_Opened]:
    """Return the GPU with that index and its slices; [] if this user may not open the GPU."""
    handle = optional(ask, "nvmlDeviceGetHandleByIndex", index)
    uuid = handle and optional(ask, "nvmlDeviceGetUUID", handle)
    if not uuid:
        return []
    mode = optional(ask, "nvmlDeviceGetMigMode", handle)
    sliced = bool(mode and mode[0])
    memory = _memory(ask, handle)
    whole = Device(uuid, index, _name(ask, handle), _total(memory), sliced=sliced)
    return [_Opened(whole, handle, memory), *(_slices(ask, handle, whole) if sliced else ())]


def _slices(ask: Ask, handle: Any, whole: Device) -> Iterator[_Opened]:
    for number in range(optional(ask, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        piece = optional(ask, "nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        uuid = piece and optional(ask, "nvmlDeviceGetUUID", piece)
        if uuid:
            memory = _memory(ask, piece)
            device = Device(uuid, whole.index, _name(ask, piece), _total(memory), whole.uuid, number)
            yield _Opened(device, piece, memory)


def _name(ask: Ask, handle: Any) -> str:
    return optional(ask, "nvmlDeviceGetName", handle) or "NVIDIA GPU"


def _memory(ask: Ask, handle: Any) -> Any:
    newer = optional(ask, "nvmlDeviceGetMemoryInfo", handle, _MEMORY_V2)
    return newer or optional(ask, "nvmlDeviceGetMemoryInfo", handle)


def _total(memory: Any) -> int | None:
    return None if memory is None else int(memory.total)


def _snapshot(ask: Ask, opened: _Opened) -> Snapshot:
    device, handle, memory = opened
    used, free = (None, None) if memory is None else (int(memory.used), int(memory.free))
    snapshot = Snapshot(device, used, free, _processes(ask, handle))
    return snapshot if device.is_mig else _with_sensors(ask, snapshot, handle)


def _snapshot_by_uuid(ask: Ask, device: Device) -> Snapshot:
    handle = ask("nvmlDeviceGetHandleByUUID", device.uuid)
    return _snapshot(ask, _Opened(device, handle, _memory(ask, handle)))


def _with_sensors(ask: Ask, snapshot: Snapshot, handle: Any) -> Snapshot:
    # In MIG mode drivers report "not supported", or 0 percent, which would be wrong.
    rates = None if snapshot.device.sliced else optional(ask, "nvmlDeviceGetUtilizationRates", handle)
    return replace(
        snapshot,
        utilisation=None if rates is None else int(rates.gpu),
        temperature=optional(ask, "nvmlDeviceGetTemperature", handle, _ON_THE_DIE),
        power=_watts(optional(ask, "nvmlDeviceGetPowerUsage", handle)),
        power_limit=_watts(optional(ask, "nvmlDeviceGetEnforcedPowerLimit", handle)),
    )


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / _MILLI


def _processes(ask: Ask, handle: Any) -> tuple[Holding, ...] | None:
    lists = [_running(ask, kind, handle) for kind in ("Compute", "Graphics")]
    if lists == [None, None]:
        return None
    held: dict[int, int | None] = {}
    for process in (process for one in lists for process in one or ()):
        # A process that computes and draws is in both lists, each time with all of its memory.
        known = held.get(process.pid)
        held[process.pid] = known if process.usedGpuMemory is None else max(known or 0, process.usedGpuMemory)
    return tuple(sorted((Holding(*item) for item in held.items()), key=lambda item: -(item.memory or 0)))


def _running(ask: Ask, kind: str, handle: Any) -> list[Any] | None:
    for version in ("v3", "v2"):  # v2 for drivers before 510
        found: list[Any] | None = optional(ask, f"nvmlDeviceGet{kind}RunningProcesses_{version}", handle)
        if found is not None:
            return found
    return None
