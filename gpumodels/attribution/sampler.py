"""`Sampler`: readings of all devices, shared by all viewers of a process."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.attribution import peaks
from gpumodels.attribution.holders import Holders
from gpumodels.attribution.processes import Look
from gpumodels.attribution.shares import split
from gpumodels.attribution.snapshot import DeviceUsage, Usage
from gpumodels.devices import admitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpumodels.lease import InstanceRecord

#: The age in seconds at which a sample is replaced. It is below one second, so callers that ask once a second always
#: get a new sample.
_INTERVAL = 0.9


class Sampler:
    """The source of samples: each is a `Usage` of all devices. A sample is taken only on request.

    `running` returns the running instances of this user; its errors are raised to the caller. Threads may use a sampler
    at the same time.
    """

    def __init__(self, running: Callable[[], Iterable[InstanceRecord]], interval: float = _INTERVAL) -> None:
        self._running = running
        self._interval = interval  # seconds
        self._look = Look()
        self._last: Usage | None = None
        self._sampled = 0.0  # the moment of the last sample, by time.monotonic()
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)  # another thread of the parent may have held the lock

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def recent(self) -> Usage:
        """Return the last sample, or take a new one if the last is older than the interval. All viewers share it."""
        with self._lock:
            if self._last is None or time.monotonic() - self._sampled >= self._interval:
                return self._sample()
            return self._last

    def now(self) -> Usage:
        """Take and return a new sample."""
        with self._lock:
            return self._sample()

    def _sample(self) -> Usage:
        self._sampled, moment = time.monotonic(), time.time()
        seen = devices.snapshots()
        self._look = Look(self._look)
        records = list(self._running())
        holders = Holders(self._look, records)
        allowed = {device.uuid for device in admitted([each.device for each in seen])}
        found = tuple(
            DeviceUsage(each, split(each, seen, holders), allowed=each.device.uuid in allowed) for each in seen
        )
        peaks.note_seen(records, found)
        trouble = "" if found else devices.why_none() or "the NVIDIA driver was not ready when it was asked"
        self._last = Usage(moment, found, trouble)
        return self._last
