"""Events of a runtime directory, for whoever shows what happens: `.events`, one JSON object a line, newest last.

Each has `at` (seconds since the epoch), `event` ("asleep", "awake", "over" its limit), `instance`, `model` and `text`,
and what else there is to say of it.
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


def tell(runtime: Path, event: str, **facts: Any) -> None:
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


def told(runtime: Path) -> list[dict[str, Any]]:
    """The events that are kept, oldest first."""
    found = []
    with suppress(OSError):
        for line in (runtime / _NAME).read_text(errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found
