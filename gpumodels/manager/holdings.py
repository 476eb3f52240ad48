"""Which of the GPU memory that the driver sees belongs to which model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.lease.processes import MARK
from gpumodels.manager import instances

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.lease.record import InstanceRecord
    from gpumodels.lease.runtime import RuntimeDirectory


def holder(runtime: RuntimeDirectory) -> Callable[[int], str | None]:
    """Names who holds GPU memory, by process id, where it is one of this user's models."""
    records = {record.id: record for record in instances.running(runtime)}

    def name(pid: int) -> str | None:
        record = records.get(_instance(pid))
        return None if record is None else f"{record.model} of {record.owner.notebook or 'another program'}"

    return name


def memory_held(record: InstanceRecord) -> int | None:
    """Bytes of GPU memory that an instance holds; None where the driver shows no process of it."""
    uuids = {device["uuid"] for device in record.devices}
    snapshots = [devices.snapshot(device) for device in devices.devices() if device.uuid in uuids]
    held = [
        holding.memory
        for seen in snapshots
        for holding in seen.processes or ()
        if holding.memory is not None and _instance(holding.pid) == record.id
    ]
    return sum(held) if held else None


def _instance(pid: int) -> str:
    """The id of the instance that a process belongs to, which its environment tells, in containers too; "" if none."""
    with suppress(OSError):
        for setting in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = setting.partition(b"=")
            if name == MARK.encode():
                return value.decode(errors="replace")
    return ""
