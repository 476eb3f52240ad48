"""What a dashboard shows: GPUs by holder, and the running models with their work, as plain values."""

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

_ANSWER_WITHIN = 0.4  # seconds that a model server has to say what it does
_AT_ONCE = 16
_KEPT = 0.8  # seconds; a little less than viewers wait between two looks


class Board:
    """One reading for all who look within a second; who does not look costs nothing. Safe to use from threads."""

    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._state: State = {}
        self._until = 0.0

    def look(self) -> State:
        """The state, at most a second old; not to be changed. Raises RuntimeDirectoryError."""
        with self._lock:
            if time.monotonic() > self._until:
                self._state = self._read()
                self._until = time.monotonic() + _KEPT
            return self._state


def read() -> State:
    """`{"place", "moment", "trouble", "devices", "models"}`; docs/dashboard.md lists the keys.

    `place` tells one runtime directory from another: who sees the same one sees the same models.
    """
    runtime = runtime_directory()
    seen = recent_usage()
    models = _models(running(runtime), held_in_all(seen.devices))
    return {"place": runtime.identity, **as_json(seen), "models": models}


def _models(records: list[InstanceRecord], memory: dict[str, int]) -> list[dict[str, Any]]:
    def model(record: InstanceRecord) -> dict[str, Any]:
        return {**describe(record), "memory": memory.get(record.id), **_work(record)}

    if not records:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(records))) as pool:
        return list(pool.map(model, records))


def _work(record: InstanceRecord) -> dict[str, Any]:
    """Its activity, `idle`, the seconds since its last call, and `idle_since`, when that ended or it was loaded.

    None where it does not say; `idle_since` also while a call runs.
    """
    seen = None
    if record.state != "loading":
        try:
            seen = activity.read(attached(record).connector(), record.model, _ANSWER_WITHIN)
        except (KeyError, OSError, EngineError):  # it has ended since
            seen = None
    if seen is None:
        return {"activity": None, "idle": None, "idle_since": None}
    loaded = record.created
    return {"activity": asdict(seen), "idle": seen.idle(loaded), "idle_since": seen.idle_since(loaded)}


BOARD = Board(read)
