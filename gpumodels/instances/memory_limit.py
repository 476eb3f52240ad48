"""Limits of GPU memory (`--memory`): a model that holds more for long is marked in all views.

The mark is a file in the instance's directory, which all views read. The holder of an instance checks it, so an
instance that only its keeper holds keeps its mark.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import presentation
from gpumodels.errors import GpumodelsError
from gpumodels.instances import registry
from gpumodels.instances.gpu_usage import recent_usage
from gpumodels.lease import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.attribution import DeviceUsage
    from gpumodels.lease import InstanceRecord

_PERIOD = 2.0  # seconds between two checks
#: A model is over its limit if it holds this share of it for so many seconds: peaks may pass, and CUDA needs some.
_OVER, _FOR = 1.1, 10.0


class LimitWatcher:
    """One thread that marks models of this process that exceed their limit. It runs while one of them has a limit."""

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
            time.sleep(_PERIOD)
            with self._lock:
                records = _limited()
                if not records:
                    self._runs = False
                    return
            with suppress(GpumodelsError, OSError):  # checked again in a moment
                check(records, first_seen)


LIMIT_WATCHER = LimitWatcher()


def check(records: Sequence[InstanceRecord], first_seen: dict[str, float]) -> None:
    """Mark instances that have exceeded their limit for long, and unmark those that do not.

    `first_seen` is kept between checks: when each was first seen over its limit, by time.time(). If the driver does not
    say what an instance holds, its mark stays.
    """
    seen = {each.snapshot.device.uuid: each for each in recent_usage().devices}
    for record in records:
        held = _held(record, [seen.get(device["uuid"]) for device in record.devices])
        if held is None:
            first_seen.pop(record.id, None)
            continue
        with suppress(KeyError):  # it has just ended
            _judge(record, held, first_seen)


def _judge(record: InstanceRecord, held: int, first_seen: dict[str, float]) -> None:
    most, runtime = record.limit or 0, registry.runtime_directory()
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
        events.log(runtime.path, "over", instance=record.id, model=record.model, text=text)


def _limited() -> list[InstanceRecord]:
    return [record for record in registry.held_here() if record.limit is not None and record.devices]


def _held(record: InstanceRecord, seen: Sequence[DeviceUsage | None]) -> int | None:
    """Return the bytes that the instance holds of those devices, or None if the driver does not say."""
    found: list[int | None] = []
    for each in seen:
        if each is None or each.snapshot.processes is None:
            return None
        found += [share.memory for share in each.shares if share.instance == record.id]
    known = [memory for memory in found if memory is not None]
    return sum(known) if len(known) == len(found) else None
