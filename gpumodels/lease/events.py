"""Events of a runtime directory, such as loads and ends of models: `.events`, one JSON object a line, newest last.

The fields of an event:

- `at`: seconds since the epoch
- `event`: "loaded", "failed" (to load), "asleep", "awake", "over" (the model exceeds its memory limit), "stopped",
  "died", or "ended" (because its last holder ended)
- `instance`: the id of the instance; "" for a load that failed
- `model`: the name of the model
- `text`: a sentence for the user

Some kinds of event have more fields.
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
_LARGEST = 256 << 10  # bytes of the file; a larger file loses its older half
_LINE = 1000  # bytes to read for each line that is wanted; most lines are far shorter


def log(runtime: Path, event: str, **facts: Any) -> None:
    """Add an event with the fields `facts`. Ignore errors of the disk: they must not break the logged action."""
    line = json.dumps({"at": time.time(), "event": event, **facts}) + "\n"
    path = runtime / _NAME
    with suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())  # one write: lines of two processes do not mix
            full = os.fstat(fd).st_size > _LARGEST
        finally:
            os.close(fd)
        if full:
            kept = path.read_bytes()[-_LARGEST // 2 :].partition(b"\n")[2]
            path.write_bytes(kept)


def read(runtime: Path, last: int | None = None) -> list[dict[str, Any]]:
    """Return the events of a runtime directory, oldest first. With `last`, return only the newest `last` events."""
    found = []
    with suppress(OSError), (runtime / _NAME).open("rb") as file:
        if last is not None:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - last * _LINE))  # the first line may be cut, and is skipped then
        for line in file.read().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found if last is None else found[-last:]
