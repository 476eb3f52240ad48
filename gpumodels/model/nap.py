"""`Nap`: what a model that fell asleep, or was stopped, gave back, measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import devices, presentation
from gpumodels.attribution import Holders, Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.lease.record import InstanceRecord

#: The driver may take a while to give back what a process had: this share of it is waited for, so many seconds.
_RETURNED, _WITHIN = 0.75, 5.0
_ASKED_EVERY = 0.1


@dataclass(frozen=True)
class Nap:
    """Since when (seconds since the epoch) a model sleeps, and its GPU memory in bytes before and after.

    None where the driver showed none: a model on the CPU, a driver that does not say, a kernel too busy to look.
    """

    since: float
    device: str
    before: int | None = None
    after: int | None = None

    @property
    def freed(self) -> int | None:
        """Bytes of GPU memory that came back."""
        return None if self.before is None or self.after is None else self.before - self.after

    @property
    def gain(self) -> str:
        """What came back, for display; "" where that is not known."""
        if self.freed is None or self.before is None:
            return ""
        of = "" if self.freed >= _RETURNED * self.before else f" of {presentation.size(self.before)}, so far,"
        return f"{presentation.size(self.freed)}{of} on {self.device} freed"

    def __str__(self) -> str:
        since = f"asleep since {presentation.clock(self.since)}"
        return f"{since}, {self.gain}" if self.gain else since


def together(naps: Sequence[Nap | None]) -> Nap | None:
    """What several gave back, as one; None where none did."""
    known = [nap for nap in naps if nap is not None]
    if len(known) <= 1:
        return known[0] if known else None
    both = [(nap.before, nap.after) for nap in known if nap.before is not None and nap.after is not None]
    return Nap(
        max(nap.since for nap in known),
        ", ".join(dict.fromkeys(nap.device for nap in known)),
        sum(before for before, _ in both) if both else None,
        sum(after for _, after in both) if both else None,
    )


def measured(record: InstanceRecord, before: int | None, since: float) -> Nap:
    """Wait until the memory is back, five seconds at most, and say how much came."""
    nap = Nap(since, record.device, before)
    deadline = time.monotonic() + _WITHIN
    while before is not None:
        nap = Nap(since, record.device, before, memory_held(record) or 0)
        if (nap.freed or 0) >= _RETURNED * before or time.monotonic() > deadline:
            break
        time.sleep(_ASKED_EVERY)
    return nap


def memory_held(record: InstanceRecord) -> int | None:
    """Bytes of GPU memory that an instance holds; None where the driver shows no process of it."""
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
