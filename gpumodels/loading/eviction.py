"""Making room on a GPU: this user's own idle models are put to sleep, the least recently called first."""

from __future__ import annotations

import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpumodels import presentation
from gpumodels.attribution.split import held
from gpumodels.errors import GpumodelsError
from gpumodels.instances import registry
from gpumodels.instances.place import runtime_directory
from gpumodels.instances.sleep import sleep_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpumodels.attribution import Usage
    from gpumodels.lease.record import InstanceRecord

#: A model that was called less than so many seconds ago is at work.
_IDLE_FOR = 10.0
_ANSWER_WITHIN = 0.5  # seconds that a model server has to say when it was last called
_AT_ONCE = 16


@dataclass(frozen=True)
class Idle:
    """A model of this user that nobody calls now."""

    record: InstanceRecord
    #: Since when, in seconds; 0 for one that is at work, None for one that does not say.
    seconds: float | None
    #: Bytes that it holds, by device UUID.
    held: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        together = presentation.size(sum(self.held.values()))
        return f"{self.record.model} ({self.record.id}, {together} on {self.record.device})"


def look(seen: Usage) -> list[Idle]:
    """Every model of this user that is loaded, with what `seen` shows of it, the least recently called first."""
    found = held(seen.devices)
    records = [record for record in registry.running() if record.state in ("ready", "kept")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        idle = list(pool.map(_idle_for, records))
    known = [Idle(record, since, found.get(record.id, {})) for record, since in zip(records, idle, strict=True)]
    return sorted(known, key=lambda each: -(each.seconds or 0))


def plan(known: Iterable[Idle], fits: Callable[[Mapping[str, int]], bool]) -> list[Idle]:
    """Those of `known` that make room when they sleep, no more than it takes; [] where all together do not.

    `fits` tells whether a load would fit if so many bytes came back, by device UUID.
    """
    chosen: list[Idle] = []
    for each in known:
        if _may_sleep(each):
            chosen.append(each)
            if fits(_together(chosen)):
                break
    else:
        return []
    for each in chosen[-2::-1]:  # the last made it fit; of the others, the least recently called are kept on the list
        fewer = [one for one in chosen if one is not each]
        if fits(_together(fewer)):
            chosen = fewer
    return chosen


def put_to_sleep(chosen: Iterable[Idle]) -> None:
    """Begin to, as their own notebooks would: no call is cut, and the next one wakes them."""
    for each in chosen:
        threading.Thread(target=_sleep, args=(each.record.id,), name="gpumodels evict", daemon=True).start()


def _sleep(instance_id: str) -> None:
    with suppress(KeyError, OSError, ValueError, GpumodelsError):  # it has ended by itself, or goes on being called
        sleep_instance(instance_id)


def _may_sleep(each: Idle) -> bool:
    for_ever = each.record.keep is not None and math.isinf(each.record.keep)
    return bool(each.held) and not for_ever and each.seconds is not None and each.seconds >= _IDLE_FOR


def _together(chosen: Iterable[Idle]) -> Counter[str]:
    back: Counter[str] = Counter()
    for each in chosen:
        back.update(each.held)
    return back


def _idle_for(record: InstanceRecord) -> float | None:
    try:
        from gpumodels.client import activity  # noqa: PLC0415 (its gRPC is for those who make room)

        said = activity.read(runtime_directory().directory(record.id).socket, record.model, _ANSWER_WITHIN)
    except KeyError:  # it has ended since
        return None
    if said is None or said.running is None:
        return None
    return 0.0 if said.waiting else said.idle(record.created)
