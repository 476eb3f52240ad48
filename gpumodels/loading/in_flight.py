"""The GPU memory that loads in flight will take, but do not hold yet."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpumodels.attribution import DeviceUsage, Holders, Look, held, split
from gpumodels.devices import Claims, reservations, snapshots

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gpumodels.lease import InstanceRecord

_NOTHING: Mapping[str, int] = MappingProxyType({})


def claims(
    running: Sequence[InstanceRecord], siblings: Iterable[InstanceRecord] = (), freed: Mapping[str, int] = _NOTHING
) -> Claims:
    """Return the claims on free memory: of loading instances of this user, and of the reservations of all users.

    `running` are the instances of this user. `siblings` are those with the same handle as the instance that will be
    placed. `freed` is memory that will soon be free, in bytes by device UUID.
    """
    loading = {token(record): record for record in running if record.state == "loading" and record.devices}
    taken = _taken(loading.values())
    promised: Counter[str] = Counter()
    for record in loading.values():
        for device in record.devices:
            here = taken[record.id][device["uuid"]]
            promised[device["uuid"]] += max(0, record.memory // len(record.devices) - here)
    promised.subtract(freed)
    reserved: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for each in reservations.standing():
        for uuid in each.devices:
            known = 0
            if (mine := loading.get(each.token)) is not None:  # part of it is counted in `promised`, or held already
                known = max(mine.memory // len(mine.devices), taken[mine.id][uuid])
            reserved[uuid] += max(0, each.memory - known)
            unknown[uuid] += not each.memory
    there = tuple(device["uuid"] for record in siblings for device in record.devices)
    return Claims(promised, reserved, unknown, there)


def _taken(records: Collection[InstanceRecord]) -> defaultdict[str, Counter[str]]:
    """Return the bytes that instances hold now, by instance id and device UUID."""
    if not records:
        return defaultdict(Counter)
    seen, holders = snapshots(), Holders(Look(), records)
    return defaultdict(Counter, held(DeviceUsage(each, split(each, seen, holders)) for each in seen))


def token(record: InstanceRecord) -> str:
    """Return the name of an instance's reservation. Other users cannot learn the model from this name."""
    return hashlib.sha256(record.nonce.encode()).hexdigest()[:16]
