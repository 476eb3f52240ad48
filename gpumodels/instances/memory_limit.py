"""Whether models keep to their limit of GPU memory (`--memory`): who holds more for long is marked, in every view.

The mark is a file of the instance's directory, which all read who list what runs. Who holds the instance looks, so one
that only its keeper holds stays as it was.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import presentation
from gpumodels.errors import GpumodelsError
from gpumodels.instances import registry, usage
from gpumodels.instances.place import runtime_directory
from gpumodels.lease import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.attribution import DeviceUsage
    from gpumodels.lease.record import InstanceRecord

_EVERY = 2.0  # seconds between two looks at what models hold
#: Over the limit is what holds this share of it for so many seconds: a peak may pass, and CUDA needs some for itself.
_OVER, _FOR = 1.1, 10.0


class Overseer:
    """One thread that marks models of this process that hold more than their limit, for as long as one has a limit."""

    def __init__(self) -> None:
        self._runs = False
        self._renew_lock()
        os.register_at_fork(after_in_child=self._forked)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def _forked(self) -> None:
        self._renew_lock()
        self._runs = False

    def begin(self) -> None:
        """Watch the models that this process holds now."""
        with self._lock:
            if not self._runs and _limited():
                self._runs = True
                threading.Thread(target=self._watch, name="gpumodels limits", daemon=True).start()

    def _watch(self) -> None:
        first_seen: dict[str, float] = {}
        while True:
            time.sleep(_EVERY)
            with self._lock:
                records = _limited()
                if not records:
                    self._runs = False
                    return
            with suppress(GpumodelsError, OSError):  # what cannot be seen now is looked at again
                look(records, first_seen)


OVERSEER = Overseer()


def look(records: Sequence[InstanceRecord], first_seen: dict[str, float]) -> None:
    """Mark those that have been over their limit for long, and unmark those that are not.

    `first_seen` is kept between looks: since when each that is over was seen so, by time.time(). Where the driver does
    not say what one holds, its mark stays as it is.
    """
    seen = {each.snapshot.device.uuid: each for each in usage.recent().devices}
    for record in records:
        held = _held(record, [seen.get(device["uuid"]) for device in record.devices])
        if held is None:
            first_seen.pop(record.id, None)
            continue
        with suppress(KeyError):  # it has just ended
            _judge(record, held, first_seen)


def _judge(record: InstanceRecord, held: int, first_seen: dict[str, float]) -> None:
    most, runtime = record.limit or 0, runtime_directory()
    directory = runtime.directory(record.id)
    if held <= _OVER * most:
        first_seen.pop(record.id, None)
        if directory.over_since is not None:
            directory.unmark_over()
        return
    since = first_seen.setdefault(record.id, time.time())
    if time.time() - since >= _FOR and directory.over_since is None:
        directory.mark_over(since)
        text = f"{record.model} holds {presentation.size(held)} of GPU memory; its limit is {presentation.size(most)}"
        events.tell(runtime.path, "over", instance=record.id, model=record.model, text=text)


def _limited() -> list[InstanceRecord]:
    return [record for record in registry.held_here() if record.limit is not None and record.devices]


def _held(record: InstanceRecord, seen: Sequence[DeviceUsage | None]) -> int | None:
    """Bytes that the instance holds of those devices; None where the driver does not say."""
    found: list[int | None] = []
    for each in seen:
        if each is None or each.snapshot.processes is None:
            return None
        found += [share.memory for share in each.shares if share.instance == record.id]
    known = [memory for memory in found if memory is not None]
    return sum(known) if len(known) == len(found) else None
