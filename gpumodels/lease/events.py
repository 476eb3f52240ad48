"""Events of a runtime directory, for whoever shows what happens: `.events`, one JSON object a line, newest last.

Each has `at` (seconds since the epoch), `event` ("loaded", "failed" to load, "asleep", "awake", "over" its limit,
"stopped", "died", "ended" with the last who held it), `instance` ("" of a load that failed), `model` and `text`, and
what else there is to say of it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_NAME = ".events"
_LONGEST = 256 << 10  # bytes; then the older half is dropped
_LINE = 1000  # bytes, which most lines are far shorter than


def log(runtime: Path, event: str, **facts: Any) -> None:
    """Add an event; silent where that cannot be, since what happened has happened."""
    line = json.dumps({"at": time.time(), "event": event, **facts}) + "\n"
    path = runtime / _NAME
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())  # one write: lines of two processes do not mix
            long = os.fstat(fd).st_size > _LONGEST
        finally:
            os.close(fd)
        if long:
            kept = path.read_bytes()[-_LONGEST // 2 :].partition(b"\n")[2]
            path.write_bytes(kept)


def read(runtime: Path, last: int | None = None) -> list[dict[str, Any]]:
    """The events that are kept, or the `last` so many of them, oldest first."""
    found = []
    with suppress(OSError), (runtime / _NAME).open("rb") as file:
        if last is not None:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - last * _LINE))  # what is cut is no JSON
        for line in file.read().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found if last is None else found[-last:]
