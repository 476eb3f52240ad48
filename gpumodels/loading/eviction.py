"""Eviction: putting idle models of this user to sleep to make room on a GPU, the least recently called first."""

from __future__ import annotations

import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpumodels import presentation
from gpumodels.attribution import held
from gpumodels.errors import GpumodelsError
from gpumodels.instances import activity_of, running, sleep_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpumodels.attribution import Usage
    from gpumodels.lease import InstanceRecord

#: Seconds without a call after which a model may be put to sleep.
_IDLE_FOR = 10.0
_AT_ONCE = 16  # threads that ask model servers


@dataclass(frozen=True)
class Candidate:
    """A loaded model of this user that might be put to sleep."""

    record: InstanceRecord
    #: Seconds since its last call; 0 while calls run, None if its server does not report that.
    idle: float | None
    #: GPU memory that the model holds, in bytes by device UUID.
    held: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        together = presentation.size(sum(self.held.values()))
        return f"{self.record.model} ({self.record.id}, {together} on {self.record.device})"


def candidates(seen: Usage) -> list[Candidate]:
    """Return the loaded models of this user, the least recently called first. `seen` has the memory that they hold."""
    found = held(seen.devices)
    records = [record for record in running() if record.state in ("ready", "kept")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        idle = list(pool.map(_idle_seconds, records))
    known = [Candidate(record, since, found.get(record.id, {})) for record, since in zip(records, idle, strict=True)]
    return sorted(known, key=lambda each: -(each.idle or 0))


def plan(known: Iterable[Candidate], fits: Callable[[Mapping[str, int]], bool]) -> list[Candidate]:
    """Return the models of `known` that should sleep to make room, as few as possible.

    Return [] if the load would not fit even if all slept. `fits` takes the freed bytes by device UUID, and returns
    True if the load would then fit.
    """
    chosen: list[Candidate] = []
    for each in known:
        if _may_sleep(each):
            chosen.append(each)
            if fits(_together(chosen)):
                break
    else:
        return []
    for each in chosen[-2::-1]:  # the last one is needed; leave out others if possible, recently called ones first
        fewer = [one for one in chosen if one is not each]
        if fits(_together(fewer)):
            chosen = fewer
    return chosen


def put_to_sleep(chosen: Iterable[Candidate]) -> None:
    """Begin to put models to sleep on threads. Calls that run are finished first, and the next call wakes a model."""
    for each in chosen:
        threading.Thread(target=_sleep, args=(each.record.id,), name="gpumodels evict", daemon=True).start()


def _sleep(instance_id: str) -> None:
    with suppress(KeyError, OSError, ValueError, GpumodelsError):  # the model has ended, or calls keep it awake
        sleep_instance(instance_id)


def _may_sleep(each: Candidate) -> bool:
    forever = each.record.keep is not None and math.isinf(each.record.keep)
    return bool(each.held) and not forever and each.idle is not None and each.idle >= _IDLE_FOR


def _together(chosen: Iterable[Candidate]) -> Counter[str]:
    freed: Counter[str] = Counter()
    for each in chosen:
        freed.update(each.held)
    return freed


def _idle_seconds(record: InstanceRecord) -> float | None:
    activity = activity_of(record)
    if activity is None or activity.running is None:
        return None
    return 0.0 if activity.waiting else activity.idle(record.created)
