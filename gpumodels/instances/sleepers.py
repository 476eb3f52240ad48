"""Models of this user that sleep: each is a handle in a process that lives, and can be woken there."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpumodels import presentation
from gpumodels.instances import registry
from gpumodels.instances.place import runtime_directory
from gpumodels.instances.progress import Nowhere
from gpumodels.lease import notes
from gpumodels.lease.held import LeaseState
from gpumodels.lease.record import InstanceRecord, Owner, UnknownRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.model import Model


@dataclass(frozen=True)
class Sleeper:
    """One model that sleeps."""

    #: Of the instance that it was.
    record: InstanceRecord
    #: Since when, in seconds since the epoch.
    since: float
    #: Bytes of GPU memory that came back; None where that is not known, or not yet.
    freed: int | None
    #: Who has the handle, and can wake it. An instance that was shared has several, each with a sleeper of its own.
    owner: Owner

    def __str__(self) -> str:
        freed = f", {presentation.size(self.freed)} freed" if self.freed else ""
        return f"asleep since {presentation.clock(self.since)}{freed}"


def asleep(runtime: RuntimeDirectory | None = None) -> list[Sleeper]:
    """Every model of this user that sleeps, the one that has for longest first. Raises RuntimeDirectoryError."""
    runtime = runtime or runtime_directory()
    found = [_read(note) for note in notes.standing(runtime.path, notes.ASLEEP)]
    left = [each for each in found if each is not None and not _runs(runtime, each.record.id)]
    return sorted(left, key=lambda each: each.since)


def wake_here(instance_id: str) -> None:
    """Begin to wake the model of this process that was that instance; how it goes on, or fails, is told as of any load.

    Returns at once, so that it keeps no kernel busy. Raises KeyError where there is none.
    """
    found = [model for model in registry.models() if instance_id in [each.record.id for each in model.replicas]]
    if not found:
        raise KeyError(instance_id)
    threading.Thread(target=_wake, args=(found[0],), name="gpumodels wake", daemon=True).start()


def _wake(model: Model) -> None:
    with suppress(Exception):  # a load that fails stays to be seen
        model.wake(Nowhere())


def _read(note: Mapping[str, Any]) -> Sleeper | None:
    try:
        record = InstanceRecord.from_json(json.dumps(note["record"]))
        return Sleeper(record, float(note["since"]), note["freed"], Owner(**note["owner"]))
    except (UnknownRecordError, KeyError, TypeError, ValueError):  # of another version
        return None


def _runs(runtime: RuntimeDirectory, instance_id: str) -> bool:
    """Whether it goes on for others: only this handle left it."""
    try:
        return runtime.directory(instance_id).lease_state is LeaseState.HELD
    except KeyError:
        return False
