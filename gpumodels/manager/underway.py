"""Loads under way: what they are going to take of GPUs that still look free."""

from __future__ import annotations

import hashlib
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpumodels.devices import Claims, reservations
from gpumodels.model.nap import memory_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpumodels.lease.record import InstanceRecord

_NOTHING: Mapping[str, int] = MappingProxyType({})


def claims(
    running: Sequence[InstanceRecord], siblings: Iterable[InstanceRecord] = (), back: Mapping[str, int] = _NOTHING
) -> Claims:
    """What of the free memory is spoken for: by instances of this user that load, and by what all users reserved.

    `siblings` stand behind the same handle as the instance that is to be placed. `back` are bytes, by device UUID, that
    are as good as free.
    """
    loading = {token(record): record for record in running if record.state == "loading" and record.devices}
    promised: Counter[str] = Counter()
    for record in loading.values():
        left = max(0, record.memory - (memory_held(record) or 0)) if record.memory else 0
        promised.update({device["uuid"]: left // len(record.devices) for device in record.devices})
    promised.subtract(back)
    reserved: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for each in reservations.standing():
        mine = loading.get(each.token)
        known = 0 if mine is None else mine.memory // len(mine.devices)  # which counts as promised
        reserved.update({uuid: max(0, each.memory - known) for uuid in each.devices})
        unknown.update(each.devices if not each.memory else ())
    there = tuple(device["uuid"] for record in siblings for device in record.devices)
    return Claims(promised, reserved, unknown, there)


def token(record: InstanceRecord) -> str:
    """What an instance's reservation is called: others cannot tell from it which model it is."""
    return hashlib.sha256(record.nonce.encode()).hexdigest()[:16]
