"""Models that sleep: putting an instance to sleep, listing sleeping models, and waking those of this process."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpumodels import engines, presentation
from gpumodels.client import ask_for_sleep
from gpumodels.errors import EngineError
from gpumodels.instances import registry
from gpumodels.lease import InstanceRecord, LeaseState, Owner, UnknownRecordError, notes
from gpumodels.model import NullReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.lease import RuntimeDirectory
    from gpumodels.model import Model

_WITHIN = 10.0  # seconds; a model that is called all the while does not sleep


@dataclass(frozen=True)
class SleepingModel:
    """A model that sleeps: a handle in a process that lives, and that can wake it."""

    #: The record of the instance that it was.
    record: InstanceRecord
    #: When it fell asleep, in seconds since the epoch.
    since: float
    #: Bytes of GPU memory that came back; None if that is not known (yet).
    freed: int | None
    #: The process that has the handle. An instance that was shared leaves one sleeping model in each process.
    owner: Owner

    def __str__(self) -> str:
        freed = f", {presentation.size(self.freed)} freed" if self.freed else ""
        return f"asleep since {presentation.clock(self.since)}{freed}"


def sleep_instance(instance_id: str) -> None:
    """Free an instance's memory as soon as no call runs. Its handles wake it with the next call.

    Raises KeyError if no instance has that id, EngineError if calls run for more than ten seconds.
    """
    for replica in [each for model in registry.handles() for each in model.replicas]:
        if replica.record.id == instance_id and replica.alive:
            replica.attachment.sleep()
            return
    directory = registry.runtime_directory().directory(instance_id)
    try:
        record = directory.record()
        asleep = ask_for_sleep(engines.attach(record, directory).connector(), _WITHIN)
    except (OSError, UnknownRecordError):  # it has ended
        raise KeyError(instance_id) from None
    if not asleep:
        raise EngineError(f"{record.model} was asked to sleep, but calls ran all the while: it goes on.")


def sleeping(runtime: RuntimeDirectory | None = None) -> list[SleepingModel]:
    """Return all models of this user that sleep, the longest sleeper first. Raises RuntimeDirectoryError."""
    runtime = runtime or registry.runtime_directory()
    found = [_read(note) for note in notes.standing(runtime.path, notes.ASLEEP)]
    left = [each for each in found if each is not None and not _runs(runtime, each.record.id)]
    return sorted(left, key=lambda each: each.since)


def wake_here(instance_id: str) -> None:
    """Begin to wake the model of this process that was that instance. Its load is shown as any other.

    Return at once, so that the kernel is not kept busy. Raises KeyError if there is none.
    """
    found = [model for model in registry.models() if instance_id in [each.record.id for each in model.replicas]]
    if not found:
        raise KeyError(instance_id)
    threading.Thread(target=_wake, args=(found[0],), name="gpumodels wake", daemon=True).start()


def _wake(model: Model) -> None:
    with suppress(Exception):  # a load that fails stays listed
        model.wake(NullReport())


def _read(note: Mapping[str, Any]) -> SleepingModel | None:
    try:
        record = InstanceRecord.from_json(json.dumps(note["record"]))
        return SleepingModel(record, float(note["since"]), note["freed"], Owner(**note["owner"]))
    except (UnknownRecordError, KeyError, TypeError, ValueError):  # of another version
        return None


def _runs(runtime: RuntimeDirectory, instance_id: str) -> bool:
    """Return True if the instance goes on for others, and only this handle left it."""
    try:
        return runtime.directory(instance_id).lease_state is LeaseState.HELD
    except KeyError:
        return False
