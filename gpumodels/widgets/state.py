"""The state that a dashboard shows, as plain values: GPUs by holder, and running models with their activity."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpumodels.attribution import as_json
from gpumodels.attribution.split import held_in_all
from gpumodels.client import activity
from gpumodels.errors import EngineError
from gpumodels.instances import attached, recent_usage, running, runtime_directory
from gpumodels.widgets.described import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.lease.record import InstanceRecord

State = dict[str, Any]

_ANSWER_WITHIN = 0.4  # seconds that a model server has to report its activity
_AT_ONCE = 16
_FRESH_FOR = 0.8  # seconds; a little less than the second between two requests of a browser


class SharedReading:
    """The last result of `read`, for all callers within a second. Any thread may call; without callers nothing runs."""

    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._state: State = {}
        self._until = 0.0

    def recent(self) -> State:
        """Return the state, at most a second old. Callers share it and must not change it."""
        with self._lock:
            if time.monotonic() > self._until:
                self._state = self._read()
                self._until = time.monotonic() + _FRESH_FOR
            return self._state


def read() -> State:
    """Return `{"place", "moment", "trouble", "devices", "models"}` as of now; the schema Usage of openapi.json.

    `place` identifies the runtime directory: processes with the same place see the same models. Raises
    RuntimeDirectoryError.
    """
    runtime = runtime_directory()
    usage = recent_usage()
    models = _models(running(runtime), held_in_all(usage.devices))
    return {"place": runtime.identity, **as_json(usage), "models": models}


def _models(records: list[InstanceRecord], memory: dict[str, int]) -> list[dict[str, Any]]:
    def model(record: InstanceRecord) -> dict[str, Any]:
        return {**describe(record), "memory": memory.get(record.id), **_activity(record)}

    if not records:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(records))) as pool:
        return list(pool.map(model, records))


def _activity(record: InstanceRecord) -> dict[str, Any]:
    """Return the model's `activity`, `idle` (seconds since its last call) and `idle_since` (the end of that call).

    Before the first call, both count from the load. All are None where the model server does not answer; `idle_since`
    is also None while a call runs.
    """
    found = None
    if record.state != "loading":
        try:
            found = activity.read(attached(record).connector(), record.model, _ANSWER_WITHIN)
        except (KeyError, OSError, EngineError):  # it has ended since
            found = None
    if found is None:
        return {"activity": None, "idle": None, "idle_since": None}
    loaded = record.created
    return {"activity": asdict(found), "idle": found.idle(loaded), "idle_since": found.idle_since(loaded)}


_shared = SharedReading(read)


def recent() -> State:
    """Return the state as `read` does, at most a second old, shared by all widgets of this process."""
    return _shared.recent()
