"""The state that a dashboard shows: GPUs by holder, and running models with their activity, as JSON values."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from gpumodels.attribution import as_json
from gpumodels.instances import model_json, read_overview

if TYPE_CHECKING:
    from collections.abc import Callable

State = dict[str, Any]

_FRESH_FOR = 0.8  # seconds; a browser sends a request each second


class SharedReading:
    """A cache of the last result of `read`, for all callers of `recent` within a second.

    Any thread may call `recent`. Only these calls read the state.
    """

    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._state: State = {}
        self._until = 0.0

    def recent(self) -> State:
        """Return the state, at most a second old. Callers share the object and must not change it."""
        with self._lock:
            if time.monotonic() > self._until:
                self._state = self._read()
                self._until = time.monotonic() + _FRESH_FOR
            return self._state


def read() -> State:
    """Read the state now, in the form of the schema Usage of openapi.json.

    Its keys are `place`, `moment`, `trouble`, `devices` and `models`. `place` identifies the runtime directory:
    processes with the same place see the same models. `idle` of a model is in seconds since its last call. Raises
    RuntimeDirectoryError if the runtime directory cannot be used.
    """
    overview = read_overview()
    models = [{**model_json(view), "idle": view.idle} for view in overview.running]
    return {"place": overview.place, **as_json(overview.usage), "models": models}


_shared = SharedReading(read)


def recent() -> State:
    """Return the state in the form of `read`, at most a second old. All widgets of this process share it."""
    return _shared.recent()
