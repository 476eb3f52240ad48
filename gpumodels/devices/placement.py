"""From what a user asked for to the devices that an instance gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpumodels.devices.allowlist import admitted
from gpumodels.devices.device import Device, Holding, Snapshot, size
from gpumodels.devices.inventory import devices, driver_trouble, snapshot
from gpumodels.devices.naming import Asked, at_index, parse, with_prefix
from gpumodels.errors import DeviceError

if TYPE_CHECKING:
    from gpumodels.settings import Policy

#: Names whoever holds memory: "ctpn in demo.ipynb" for a process id, or None where it cannot.
Holder = Callable[[int], str | None]

#: Digits that name no index are taken for the start of a UUID from this length on; below, they are a mistyped index.
_SHORTEST_NUMERIC_PREFIX = 4


def select(
    asked: Asked,
    *,
    allowed: Sequence[Device] | None = None,
    needed: int = 0,
    promised: Mapping[str, int] = MappingProxyType({}),
    holder: Holder = lambda _pid: None,
    policy: Policy = "most-free",
) -> tuple[Device, ...]:
    """The devices that `asked` means, in the order asked; () for no GPU.

    "auto" takes the device with the most free memory (the lowest index among equals) and is () where there is
    none: `why_none` says why. Of the devices on which `needed` has room, the policy "first-fit" takes the one of the
    lowest index, "pack" the fullest, which leaves others whole. `allowed` are those to choose from, by default what
    the administrator's allow-list leaves. `needed` is the free memory, in bytes, that the chosen devices must have
    together. `promised` are bytes by device UUID that instances under way have not yet taken; they count as held.
    Nothing is locked here.

    Raises DeviceError, saying which devices exist, for one that is unknown, ambiguous, named twice, outside
    `allowed`, in MIG mode or without the memory (naming with `holder` who has it).
    """
    request = parse(asked)
    if not request.names and not request.automatic:
        return ()  # before the driver is asked, which takes a while the first time
    known = devices()
    usable = [d for d in (admitted(known) if allowed is None else allowed) if not d.sliced]
    if request.automatic:
        if not usable and not request.counted:
            return ()
        chosen = _best(request.automatic, usable, needed, promised, policy)
        rivals = usable
    else:
        chosen = tuple(_named(name, known, usable) for name in request.names)
        rivals = list(chosen)
    _check_combination(chosen)
    _check_memory(chosen, rivals, needed, promised, holder)
    return chosen


def why_none() -> str:
    """One clause saying why "auto" finds no GPU, "" where it finds one."""
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
        raise DeviceError(f"There is no GPU {name}: {_existing(known)}.")
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
    count: int, usable: Sequence[Device], needed: int, promised: Mapping[str, int], policy: Policy
) -> tuple[Device, ...]:
    # CUDA gives a process one slice at most, so slices are no choice for more than one device.
    candidates = [d for d in usable if count == 1 or not d.is_mig]
    if len(candidates) < count:
        there = _list(candidates) if candidates else why_none() or "none that can be combined"
        raise DeviceError(f"auto:{count} needs {count} GPUs, and there are {len(candidates)}: {there}.")
    # A device that does not say how much is free is taken only where no other has any. Sorting keeps ties in order.
    free = {d.uuid: _free(snapshot(d), promised) or 0 for d in candidates}
    by_room = sorted(candidates, key=lambda d: -free[d.uuid])
    # A need that is not declared may fit anywhere or nowhere: then most room is best, whatever the policy.
    fitting = [d for d in candidates if needed and free[d.uuid] * count >= needed]
    if policy == "pack":
        fitting.sort(key=lambda d: free[d.uuid])
    best = by_room if policy == "most-free" or len(fitting) < count else fitting
    return tuple(d for d in candidates if d in best[:count])


def _check_combination(chosen: Sequence[Device]) -> None:
    for place, device in enumerate(chosen):
        if device in chosen[:place]:
            raise DeviceError(f"{device} is named twice.")
    if len(chosen) > 1 and any(d.is_mig for d in chosen):
        raise DeviceError(f"CUDA cannot combine a MIG slice with another device: name one of {_list(chosen)}.")


def _check_memory(
    chosen: Sequence[Device], rivals: Sequence[Device], needed: int, promised: Mapping[str, int], holder: Holder
) -> None:
    if not (chosen and needed):
        return
    room = [_free(snapshot(d), promised) for d in chosen]
    if None in room or sum(filter(None, room)) >= needed:
        return
    states = "; ".join(_fullness(snapshot(d), promised, holder) for d in rivals)
    raise DeviceError(f"{size(needed)} of free GPU memory are needed: {states}.")


def _free(seen: Snapshot, promised: Mapping[str, int]) -> int | None:
    if seen.memory_free is None:
        return None
    return max(0, seen.memory_free - promised.get(seen.device.uuid, 0))


def _fullness(seen: Snapshot, promised: Mapping[str, int], holder: Holder) -> str:
    device, later = seen.device, promised.get(seen.device.uuid, 0)
    text = f"{device} has {size(_free(seen, promised))} free of {size(device.memory_total)}"
    if later:
        text += f", not counting {size(later)} promised to models that are loading"
    holders = ", ".join(_holding(process, holder) for process in seen.processes or ())
    return f"{text}, held by {holders or 'processes that cannot be seen from here'}" if seen.memory_used else text


def _holding(process: Holding, holder: Holder) -> str:
    name = holder(process.pid) or _program(process.pid)
    return f"{name} (pid {process.pid}, {size(process.memory)})"


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a process that cannot be seen from here"


def _existing(known: Sequence[Device]) -> str:
    return f"this machine has {_list(known)}" if known else f"{driver_trouble()}; auto or none runs on the CPU"


def _list(several: Sequence[Device]) -> str:
    return ", ".join(f"{d.label} ({d.name}, {d.short_uuid})" for d in several)
