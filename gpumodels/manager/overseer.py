"""Whether models keep to their limit of GPU memory (`--memory`): who holds more for long is marked, in every view.

The mark is a file of the instance's directory, which all read who list what runs. Who holds the instance looks, so one
that only its keeper holds stays as it was.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.errors import GpumodelsError
from gpumodels.lease import events
from gpumodels.manager import instances, usage
from gpumodels.manager.place import runtime_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            with suppress(GpumodelsError, OSError, KeyError):  # what cannot be seen now is looked at again
                look(records, first_seen)


OVERSEER = Overseer()


def look(records: Sequence[InstanceRecord], first_seen: dict[str, float]) -> None:
    """Mark those that have been over their limit for long, and unmark those that are not.

    `first_seen` is kept between looks: since when each that is over was seen so, by time.time().
    """
    held = _held()
    for record in records:
        most, has = record.limit or 0, held.get(record.id)
        directory = runtime_directory().directory(record.id)
        if has is None or has <= _OVER * most:
            first_seen.pop(record.id, None)
            if has is not None and directory.over_since is not None:
                directory.unmark_over()
            continue
        since = first_seen.setdefault(record.id, time.time())
        if time.time() - since >= _FOR and directory.over_since is None:
            directory.mark_over(since)
            text = f"{record.model} holds {devices.size(has)} of GPU memory; its limit is {devices.size(most)}"
            events.tell(runtime_directory().path, "over", instance=record.id, model=record.model, text=text)


def _limited() -> list[InstanceRecord]:
    return [record for record in instances.held_here() if record.limit is not None and record.devices]


def _held() -> Counter[str]:
    """Bytes of GPU memory by instance, of those of which the driver says it."""
    found: Counter[str] = Counter()
    for device in usage.recent().devices:
        for share in device.shares:
            if share.instance and share.memory is not None:
                found[share.instance] += share.memory
    return found
