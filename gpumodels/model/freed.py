"""GPU memory that a model gave back when it fell asleep or was stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import devices, presentation
from gpumodels.attribution import Holders, Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.lease import InstanceRecord

#: The share of the memory that must be free: then it counts as freed. The driver may need a while for the rest.
_RETURNED = 0.75
#: Seconds to wait until that share is free.
_WITHIN = 5.0
_POLL = 0.1  # seconds


@dataclass(frozen=True)
class FreedMemory:
    """GPU memory that a model held before and after it fell asleep or was stopped.

    `since` is the moment of its sleep or stop, in seconds since the epoch. `before` and `after` are in bytes. They are
    None if nothing was measured: the model ran on the CPU, the driver does not report memory by process, or this
    process was too busy.
    """

    since: float
    device: str
    before: int | None = None
    after: int | None = None

    @property
    def bytes(self) -> int | None:
        """The freed GPU memory in bytes; None if it is not known."""
        return None if self.before is None or self.after is None else self.before - self.after

    @property
    def summary(self) -> str:
        """The freed memory as text, such as "2.1 GB on GPU 0 freed"; "" if it is not known."""
        if self.bytes is None or self.before is None:
            return ""
        of = "" if self.bytes >= _RETURNED * self.before else f" of {presentation.size(self.before)}, so far,"
        return f"{presentation.size(self.bytes)}{of} on {self.device} freed"

    def __str__(self) -> str:
        since = f"asleep since {presentation.clock(self.since)}"
        return f"{since}, {self.summary}" if self.summary else since


def total(freed: Sequence[FreedMemory | None]) -> FreedMemory | None:
    """Add up the freed memory of several instances. Return None if all of `freed` are None."""
    known = [each for each in freed if each is not None]
    if len(known) <= 1:
        return known[0] if known else None
    measured = [(each.before, each.after) for each in known if each.before is not None and each.after is not None]
    return FreedMemory(
        max(each.since for each in known),
        ", ".join(dict.fromkeys(each.device for each in known)),
        sum(before for before, _ in measured) if measured else None,
        sum(after for _, after in measured) if measured else None,
    )


def measure(record: InstanceRecord, before: int | None, since: float) -> FreedMemory:
    """Wait until an ended instance has freed its `before` bytes, five seconds at most, and return the freed memory."""
    freed = FreedMemory(since, record.device, before)
    deadline = time.monotonic() + _WITHIN
    while before is not None:
        freed = FreedMemory(since, record.device, before, memory_held(record) or 0)
        if (freed.bytes or 0) >= _RETURNED * before or time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    return freed


def memory_held(record: InstanceRecord) -> int | None:
    """Return the bytes of GPU memory that an instance holds, or None if the driver shows no process of it."""
    uuids = {device["uuid"] for device in record.devices}
    if not uuids:
        return None
    holders = Holders(Look(), [record])
    snapshots = [devices.snapshot(device) for device in devices.devices() if device.uuid in uuids]
    held = [
        holding.memory
        for seen in snapshots
        for holding in seen.processes or ()
        if holding.memory is not None and (holder := holders.holder(holding.pid)) and holder.instance == record.id
    ]
    return sum(held) if held else None
