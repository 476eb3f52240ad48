"""Limits of GPU memory (`--memory`): all views show a model that holds more than its limit for ten seconds.

Views learn of it from the file `over` in the instance's directory. Each process checks the instances of its models. A
keeper checks nothing, so the file of an instance that is only kept does not change.
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
#: A model is over its limit if it holds more than 1.1 times its limit for ten seconds. CUDA itself needs some memory,
#: and short peaks are allowed.
_OVER, _FOR = 1.1, 10.0


class LimitWatcher:
    """The thread that checks the limits of this process's models. It runs while a model has a limit."""

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
        """Start the thread if a model of this process has a limit and the thread does not run."""
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
            with suppress(GpumodelsError, OSError):  # the next check tries again
                check(records, first_seen)


LIMIT_WATCHER = LimitWatcher()


def check(records: Sequence[InstanceRecord], first_seen: dict[str, float]) -> None:
    """Make the file `over` of instances that exceed their limit for ten seconds, and remove that of the others.

    `first_seen` holds the moments, by time.time(), at which instances were first seen over their limit; pass the same
    dict to each check. If the driver does not report the memory of an instance, its file does not change.
    """
    seen = {each.snapshot.device.uuid: each for each in recent_usage().devices}
    for record in records:
        held = _held(record, [seen.get(device["uuid"]) for device in record.devices])
        if held is None:
            first_seen.pop(record.id, None)
            continue
        with suppress(KeyError):  # the instance has just ended
            _update_over(record, held, first_seen)


def _update_over(record: InstanceRecord, held: int, first_seen: dict[str, float]) -> None:
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
    """Return the bytes that an instance holds on its devices, or None if the driver does not report them."""
    found: list[int | None] = []
    for each in seen:
        if each is None or each.snapshot.processes is None:
            return None
        found += [share.memory for share in each.shares if share.instance == record.id]
    known = [memory for memory in found if memory is not None]
    return sum(known) if len(known) == len(found) else None
