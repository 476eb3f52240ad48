"""What an instance needs of a device's memory, and what others will have taken of it by then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.devices.device import Device, Snapshot

#: A load of which nobody knows what it needs is taken to leave a quarter of what is free: so many bits of its size.
_QUARTER = 2
_MOST_QUARTERED = 32


@dataclass(frozen=True)
class Need:
    """Bytes of memory that an instance's devices must have together; the same share of it is asked of each."""

    #: What the model's folder or the user says: certain, so a load that it does not fit is refused. 0: nothing.
    declared: int = 0
    #: What the same took before, by the name of the device. It steers; a load that may fit all the same is not refused.
    learnt: Mapping[str, int] = field(default_factory=dict)
    #: Whether what was learnt counts as if it were declared.
    insists: bool = False

    def on(self, device: Device) -> int:
        """What it probably takes there; 0 where nothing is known. Another kind of device is the next best guide."""
        return max(self.declared, self.learnt.get(device.name, max(self.learnt.values(), default=0)))

    def required(self, chosen: Sequence[Device]) -> int:
        """What `chosen` must have together; 0 where the load is to be tried anyway."""
        return max(map(self.on, chosen), default=0) if self.insists else self.declared


@dataclass(frozen=True)
class Claims:
    """What is free now and spoken for, in bytes by device UUID."""

    #: Certain: by this user's own loads under way. Negative where memory is about to come back.
    promised: Mapping[str, int] = field(default_factory=dict)
    #: Probable: by loads of other users, and by what was learnt. It steers a choice and never refuses one.
    reserved: Mapping[str, int] = field(default_factory=dict)
    #: How many loads are under way of which nobody knows what they need.
    unknown: Mapping[str, int] = field(default_factory=dict)
    #: The devices of those that stand behind the same handle, once for each.
    siblings: tuple[str, ...] = ()

    def free(self, seen: Snapshot) -> int | None:
        """What can be had for certain; None where the driver does not say."""
        if seen.memory_free is None:
            return None
        return max(0, seen.memory_free - self.promised.get(seen.device.uuid, 0))

    def likely(self, seen: Snapshot) -> int:
        """What will probably be left when those that are loading have what they need; 0 where that cannot be told."""
        left = (self.free(seen) or 0) - self.reserved.get(seen.device.uuid, 0)
        unknown = self.unknown.get(seen.device.uuid, 0) + self.crowd(seen.device)
        return max(0, left) >> _QUARTER * min(unknown, _MOST_QUARTERED)

    def crowd(self, device: Device) -> int:
        """How many siblings are there."""
        return self.siblings.count(device.uuid)
