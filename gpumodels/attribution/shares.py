"""Splitting the used memory of devices by holder."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpumodels.attribution.snapshot import Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpumodels.attribution.holders import Holders
    from gpumodels.attribution.snapshot import DeviceUsage
    from gpumodels.devices import Holding, Snapshot

_LAST = ("others", "unaccounted")


def split(seen: Snapshot, everything: Sequence[Snapshot], holders: Holders) -> tuple[Share, ...]:
    """Return the shares of the device in the snapshot `seen`, in the order that `DeviceUsage` describes.

    `everything` are the snapshots of all devices, including `seen`.
    """
    held: dict[Share, list[Holding]] = {}
    for holding in _processes(seen, everything):
        if holder := holders.holder(holding.pid):
            held.setdefault(holder, []).append(holding)
    found = [_share(holder, holdings) for holder, holdings in held.items()]
    rest = (seen.memory_used or 0) - sum(share.memory or 0 for share in found)
    if rest > 0:
        found.append(Share("unaccounted", "unaccounted", rest))
    return tuple(sorted(found, key=_rank))


def held(seen: Iterable[DeviceUsage]) -> dict[str, Counter[str]]:
    """Return the bytes that each instance holds, by instance id and then by device UUID."""
    found: dict[str, Counter[str]] = {}
    for each in seen:
        # A GPU in MIG mode repeats the shares of its slices.
        for share in each.shares if not each.snapshot.device.sliced else ():
            if share.instance and share.memory:
                found.setdefault(share.instance, Counter())[each.snapshot.device.uuid] += share.memory
    return found


def held_in_all(seen: Iterable[DeviceUsage]) -> dict[str, int]:
    """Return the bytes that each instance holds on all devices together, by instance id, if the driver reports them."""
    return {instance: found.total() for instance, found in held(seen).items()}


def _processes(seen: Snapshot, everything: Iterable[Snapshot]) -> Iterable[Holding]:
    if seen.processes is None and seen.device.sliced:  # some drivers list processes only for slices
        slices = (each for each in everything if each.device.parent == seen.device.uuid)
        return [holding for each in slices for holding in each.processes or ()]
    return seen.processes or ()


def _share(holder: Share, holdings: Sequence[Holding]) -> Share:
    known = [holding.memory for holding in holdings if holding.memory is not None]
    pids = () if holder.kind == "others" else tuple(dict.fromkeys(holding.pid for holding in holdings))
    return replace(holder, memory=sum(known) if known else None, pids=pids)


def _rank(share: Share) -> tuple[int, int]:
    last = _LAST.index(share.kind) + 1 if share.kind in _LAST else 0
    return last, -(share.memory or 0)
