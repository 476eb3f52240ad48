"""Sleep: putting an instance to sleep, listing sleeping models, and waking the models of this process."""

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

_WITHIN = 10.0  # seconds to wait until no call runs


@dataclass(frozen=True)
class SleepingModel:
    """A sleeping model. A living process has its handle and can wake the model."""

    #: The record of the instance before it fell asleep.
    record: InstanceRecord
    #: The moment at which the model fell asleep, in seconds since the epoch.
    since: float
    #: The freed GPU memory in bytes; None if it is not known, or not yet.
    freed: int | None
    #: The process that has the handle. If processes shared an instance, each of them has a sleeping model.
    owner: Owner

    def __str__(self) -> str:
        freed = f", {presentation.size(self.freed)} freed" if self.freed else ""
        return f"asleep since {presentation.clock(self.since)}{freed}"


def sleep_instance(instance_id: str) -> None:
    """Put an instance to sleep as soon as no call runs, which frees its memory. The next call wakes the model.

    Raises KeyError if no instance has that id, and EngineError if calls run for more than ten seconds.
    """
    for replica in [each for model in registry.handles() for each in model.replicas]:
        if replica.record.id == instance_id and replica.alive:
            replica.attachment.sleep()
            return
    directory = registry.runtime_directory().directory(instance_id)
    try:
        record = directory.record()
        asleep = ask_for_sleep(engines.attach(record, directory).connector(), _WITHIN)
    except (OSError, UnknownRecordError):  # the instance has ended
        raise KeyError(instance_id) from None
    if not asleep:
        raise EngineError(f"{record.model} does not sleep: calls ran for ten seconds without a pause.")


def sleeping(runtime: RuntimeDirectory | None = None) -> list[SleepingModel]:
    """Return all sleeping models of this user, the longest sleeper first. Raises RuntimeDirectoryError."""
    runtime = runtime or registry.runtime_directory()
    found = [_read(note) for note in notes.standing(runtime.path, notes.ASLEEP)]
    left = [each for each in found if each is not None and not _runs(runtime, each.record.id)]
    return sorted(left, key=lambda each: each.since)


def wake_here(instance_id: str) -> None:
    """Begin to wake the model of this process that has or had the instance, and return at once.

    The load runs on a thread, so the kernel is not busy. Views show it as any other load. Raises KeyError if this
    process has no such model.
    """
    found = [model for model in registry.models() if instance_id in [each.record.id for each in model.replicas]]
    if not found:
        raise KeyError(instance_id)
    threading.Thread(target=_wake, args=(found[0],), name="gpumodels wake", daemon=True).start()


def _wake(model: Model) -> None:
    with suppress(Exception):  # the note of a failed load shows the error
        model.wake(NullReport())


def _read(note: Mapping[str, Any]) -> SleepingModel | None:
    try:
        record = InstanceRecord.from_json(json.dumps(note["record"]))
        return SleepingModel(record, float(note["since"]), note["freed"], Owner(**note["owner"]))
    except (UnknownRecordError, KeyError, TypeError, ValueError):  # another version wrote the note
        return None


def _runs(runtime: RuntimeDirectory, instance_id: str) -> bool:
    """Return True if the instance still runs for other processes, and the process with the note only left it."""
    try:
        return runtime.directory(instance_id).lease_state is LeaseState.HELD
    except KeyError:
        return False
