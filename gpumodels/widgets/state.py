"""The state that a dashboard shows, as plain values: GPUs by holder, and running models with their activity."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from gpumodels.attribution import as_json
from gpumodels.instances import model_json, read_overview

if TYPE_CHECKING:
    from collections.abc import Callable

State = dict[str, Any]

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

    `place` identifies the runtime directory: processes with the same place see the same models. `idle` is in seconds
    since the last call of a model. Raises RuntimeDirectoryError.
    """
    overview = read_overview()
    models = [{**model_json(view), "idle": view.idle} for view in overview.running]
    return {"place": overview.place, **as_json(overview.usage), "models": models}


_shared = SharedReading(read)


def recent() -> State:
    """Return the state as `read` does, at most a second old, shared by all widgets of this process."""
    return _shared.recent()
