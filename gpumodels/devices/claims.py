"""The GPU memory that an instance needs, and the claims of other loads on memory that is still free."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.devices.device import Device, Snapshot

#: A load in flight of unknown need is assumed to leave a quarter of the free memory: its bytes, shifted right by this.
_QUARTER = 2
_MOST_QUARTERED = 32  # the most loads of unknown need that count


@dataclass(frozen=True)
class Need:
    """The memory that an instance needs on all its devices together, in bytes. Each device gives the same share."""

    #: The bytes that the model folder or the user declares; 0 for none. A load is refused if they are not free.
    declared: int = 0
    #: The peaks of earlier loads of the same model, by name of the device. They guide the choice and refuse no load,
    #: unless `insists` is True.
    learnt: Mapping[str, int] = field(default_factory=dict)
    #: True if `learnt` counts as if it were declared.
    insists: bool = False

    def on(self, device: Device) -> int:
        """Return the bytes that the instance probably takes on all its devices together, if they are like `device`.

        Without a peak for this kind of device, the largest peak of other kinds is used. Return 0 if nothing is known.
        """
        return max(self.declared, self.learnt.get(device.name, max(self.learnt.values(), default=0)))

    def required(self, chosen: Sequence[Device]) -> int:
        """Return the bytes that the devices `chosen` must have together; 0 if the load is tried in any case."""
        return max(map(self.on, chosen), default=0) if self.insists else self.declared


@dataclass(frozen=True)
class Claims:
    """Claims of other loads on memory that is free now, in bytes by device UUID."""

    #: Certain claims, by this user's own loads in flight. Negative if memory is about to be freed.
    promised: Mapping[str, int] = field(default_factory=dict)
    #: Probable claims, by loads of other users and by peaks of own loads. They guide the choice and refuse no load.
    reserved: Mapping[str, int] = field(default_factory=dict)
    #: The number of loads in flight with unknown need.
    unknown: Mapping[str, int] = field(default_factory=dict)
    #: The UUIDs of the devices of other replicas of the same handle, once for each replica.
    siblings: tuple[str, ...] = ()

    def free(self, snapshot: Snapshot) -> int | None:
        """Return the bytes that are free for certain; None if the driver does not report the free memory."""
        if snapshot.memory_free is None:
            return None
        return max(0, snapshot.memory_free - self.promised.get(snapshot.device.uuid, 0))

    def likely(self, snapshot: Snapshot) -> int:
        """Return the bytes that will probably be free when the loads in flight have their memory; 0 if not known."""
        left = (self.free(snapshot) or 0) - self.reserved.get(snapshot.device.uuid, 0)
        unknown = self.unknown.get(snapshot.device.uuid, 0) + self.siblings_on(snapshot.device)
        return max(0, left) >> _QUARTER * min(unknown, _MOST_QUARTERED)

    def siblings_on(self, device: Device) -> int:
        """Return the number of other replicas of the same handle on a device."""
        return self.siblings.count(device.uuid)
