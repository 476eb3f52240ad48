"""Which of the GPU memory that the driver sees belongs to which model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.lease.processes import MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpumodels.lease.record import InstanceRecord


def holder(running: Iterable[InstanceRecord]) -> Callable[[int], str | None]:
    """Names who holds GPU memory, by process id, where it is one of the models that run."""
    records = {record.id: record for record in running}

    def name(pid: int) -> str | None:
        record = records.get(_instance(pid))
        return None if record is None else f"{record.model} of {record.owner.notebook or 'another program'}"

    return name


def promised(running: Iterable[InstanceRecord]) -> dict[str, int]:
    """Bytes by device UUID that those of the models which are still loading are going to take."""
    found: dict[str, int] = {}
    for record in running:
        if record.state == "loading" and record.devices:
            for device in record.devices:
                share = record.memory // len(record.devices)
                found[device["uuid"]] = found.get(device["uuid"], 0) + share
    return found


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
