"""Placement: choosing the devices of an instance from the GPUs that the user asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gpumodels.devices.allowlist import admitted
from gpumodels.devices.claims import Claims, Need
from gpumodels.devices.device import Device, Snapshot
from gpumodels.devices.inventory import devices, driver_trouble, snapshot, snapshots
from gpumodels.devices.naming import GpuChoice, Named, at_index, parse, with_prefix
from gpumodels.errors import DeviceError
from gpumodels.presentation import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.settings import Policy

#: A function that returns the readings of a device, and reads each device once.
Look = Callable[[Device], Snapshot]

#: The length from which digits that are no index count as the start of a UUID. Fewer digits count as a mistyped index.
_SHORTEST_NUMERIC_PREFIX = 4
#: A reservation of another user cannot move a load to a device with less than 1/4 of the best one's free memory.
_MUCH_LESS = 4


class Room(NamedTuple):
    """A device that lacks memory for an instance."""

    seen: Snapshot
    #: Bytes that are free; None if the driver does not report them.
    free: int | None
    #: Bytes that other loads of this user are about to take.
    promised: int

    def __str__(self) -> str:
        device = self.seen.device
        text = f"{device} has {size(self.free)} free of {size(device.memory_total)}"
        later = f", not counting {size(self.promised)} promised to models that are loading"
        return text + later if self.promised > 0 else text


class Full(DeviceError):
    """The error if the devices lack memory. `rooms` has the memory of each device that was considered."""

    def __init__(self, needed: int, rooms: Sequence[Room]) -> None:
        super().__init__(f"{size(needed)} of free GPU memory are needed: {'; '.join(map(str, rooms))}.")
        self.needed = needed
        self.rooms = tuple(rooms)


def select(
    asked: GpuChoice | Named,
    *,
    allowed: Sequence[Device] | None = None,
    need: Need = Need(),  # noqa: B008  frozen, as is the next
    claims: Claims = Claims(),  # noqa: B008
    policy: Policy = "most-free",
) -> tuple[Device, ...]:
    """Return the devices that the user asked for, in the same order; () for no GPU.

    "auto" takes the device with the most free memory (the lowest index among equals). Without any GPU it returns ();
    `why_none` gives the reason. Of the devices that have room for `need`, the policy "first-fit" takes the one of the
    lowest index, and "pack" takes the one with the least free memory. `allowed` are the devices to choose from; by
    default those of the administrator's allow-list. This function takes no lock.

    Raises DeviceError for a device that is unknown, ambiguous, named twice, outside `allowed` or in MIG mode; its
    message lists the devices that exist. Raises Full if memory is lacking.
    """
    choice = asked if isinstance(asked, GpuChoice) else parse(asked)
    if not choice.count:
        return ()  # without a question to the driver, because the first one takes a while
    known = devices()
    usable = [d for d in (admitted(known) if allowed is None else allowed) if not d.sliced]
    look = functools.cache(snapshot)  # the check below uses the same readings as the choice
    if choice.automatic:
        if not usable and choice.is_auto:
            return ()
        chosen = _best(choice.count, usable, need, claims, policy, look)
        considered = usable
    else:
        chosen = tuple(_named(name, known, usable) for name in choice.names)
        considered = list(chosen)
    _check_combination(chosen)
    _check_memory(chosen, considered, need, claims, look)
    return chosen


def why_none() -> str:
    """Return the reason why "auto" finds no GPU, as a clause; "" if it finds one."""
    if trouble := driver_trouble():
        return trouble
    known = devices()
    within = admitted(known)
    if not within:
        return "your administrator allows no GPU (CUDA_VISIBLE_DEVICES)"
    return "" if any(not d.sliced for d in within) else "every GPU is in MIG mode without a slice"


def _named(name: str, known: Sequence[Device], usable: Sequence[Device]) -> Device:
    found = at_index(name, known) if name.isdecimal() else with_prefix(name, known)
    if not found and name.isdecimal() and len(name) >= _SHORTEST_NUMERIC_PREFIX:
        found = with_prefix(name, known)
    if not found:
        raise DeviceError(_why_not(name, known))
    if len(found) > 1:
        raise DeviceError(f"{name} may mean {_list(found)}: write more of the UUID.")
    device = found[0]
    if device.sliced:
        slices = [d for d in usable if d.parent == device.uuid]
        which = f"name one of its slices: {_list(slices)}" if slices else "it has no slice that you may use"
        raise DeviceError(f"{device} is in MIG mode and cannot be used whole; {which}.")
    if device.uuid not in {d.uuid for d in usable}:
        inside = ", ".join(d.short_uuid if d.is_mig else str(d.index) for d in usable) or "none"
        raise DeviceError(f"{device} is outside the GPUs that your administrator allows ({inside}).")
    return device


def _best(
    count: int, usable: Sequence[Device], need: Need, claims: Claims, policy: Policy, look: Look
) -> tuple[Device, ...]:
    # CUDA gives a process one slice at most, so several devices must be whole GPUs.
    candidates = [d for d in usable if count == 1 or not d.is_mig]
    if len(candidates) < count:
        there = _list(candidates) if candidates else why_none() or "none that can be combined"
        raise DeviceError(f"auto:{count} needs {count} GPUs, and there are {len(candidates)}: {there}.")
    likely = {d: claims.likely(look(d)) for d in candidates}
    # A device of unknown free memory counts as full: it is taken only if no other device has free memory.
    free = {d: claims.free(look(d)) or 0 for d in candidates}
    # First try the devices with room besides all reservations, then all devices with room now.
    for room in (likely, free):
        fitting = [d for d in candidates if need.on(d) and room[d] * count >= need.on(d)]
        if len(fitting) >= count:
            best = sorted(_in_order(fitting, room, policy), key=claims.siblings_on)
            break
    else:
        # The need is not known, or no device has room for it. Then the policy does not count: most room is best.
        best = _in_order(candidates, free, "most-free")
        if not need.declared:
            best = _least_reserved(best, likely, free, count)
    return tuple(d for d in candidates if d in best[:count])


def _in_order(candidates: Sequence[Device], room: Mapping[Device, int], policy: Policy) -> list[Device]:
    """Return the candidates, the best first. Sorting keeps ties in index order."""
    if policy == "first-fit":
        return list(candidates)
    return sorted(candidates, key=room.__getitem__, reverse=policy == "most-free")


def _least_reserved(
    best: Sequence[Device], likely: Mapping[Device, int], free: Mapping[Device, int], count: int
) -> list[Device]:
    """Return the devices of `best`, first those with the most `likely` bytes: the free bytes without reservations.

    In `best` the device with the most free memory comes first.

    Other users may reserve more than they need. So no reservation moves a load to a device that has less than a quarter
    of the free memory of the best one.
    """
    near = [d for d in best if free[d] * _MUCH_LESS >= free[best[0]]]
    return sorted(near if len(near) >= count else best, key=lambda d: -likely[d])


def _check_combination(chosen: Sequence[Device]) -> None:
    for position, device in enumerate(chosen):
        if device in chosen[:position]:
            raise DeviceError(f"{device} is named twice.")
    if len(chosen) > 1 and any(d.is_mig for d in chosen):
        raise DeviceError(f"CUDA cannot combine a MIG slice with another device: name one of {_list(chosen)}.")


def _check_memory(
    chosen: Sequence[Device], considered: Sequence[Device], need: Need, claims: Claims, look: Look
) -> None:
    needed = need.required(chosen)
    if not (chosen and needed):
        return
    room = [claims.free(look(d)) for d in chosen]
    if None in room or sum(filter(None, room)) >= needed:
        return
    found = map(look, considered)
    raise Full(needed, [Room(seen, claims.free(seen), claims.promised.get(seen.device.uuid, 0)) for seen in found])


def _why_not(name: str, known: Sequence[Device]) -> str:
    for seen in snapshots():
        if seen.trouble and name in (str(seen.device.index), seen.device.uuid):
            return f"{seen.device.label} cannot be used: {seen.trouble}."
    return f"There is no GPU {name}: {_existing(known)}."


def _existing(known: Sequence[Device]) -> str:
    return f"this machine has {_list(known)}" if known else f"{driver_trouble()}; auto or none runs on the CPU"


def _list(several: Sequence[Device]) -> str:
    return ", ".join(f"{d.label} ({d.name}, {d.short_uuid})" for d in several)
