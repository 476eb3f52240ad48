"""A load's note of itself, from its first word to its end, for whoever shows loads under way; see `loads`."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from gpumodels.errors import GpumodelsError, LoadCancelled, LoadFailed, ModelStopped
from gpumodels.instances import owner
from gpumodels.instances.loads import Load, loads, new_id
from gpumodels.instances.place import runtime_directory
from gpumodels.lease import events, notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gpumodels.instances.progress import Report

T = TypeVar("T")

_EVERY = 0.2  # seconds between two writes: a build may print hundreds of lines a second
#: Loads that failed and are kept, the newest.
_KEPT = 20
_LINES, _LONGEST = 60, 500  # of a log, and characters of a line

#: What steers a terminal: escape sequences (ECMA-48) and other control characters but the tab.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0a-\x1f\x7f]")
#: How a model server tells why it could not load; see `server.__main__`.
_SAYS, _FAILED = "gpumodels: ", " failed to load: "


class Note:
    """Safe to use from threads. What cannot be written is not known to others, and that is all."""

    def __init__(self, model: object, line: str, load_id: str = "") -> None:
        here = owner.current()
        self._load = Load(
            load_id or new_id(model), str(model), line, here.notebook, here.kernel_id, here.pid, time.time()
        )
        self._lock = threading.Lock()
        self._runtime: Path | None = None
        self._over, self._settled, self._waiting = True, False, False  # nothing is written but in `around`
        self._next = 0.0

    def around(self, load: Callable[[], T]) -> T:
        """What `load` gives. When it ends, the note does, and stays only where it failed."""
        self._over = self._settled = False
        self._next = 0.0
        try:
            try:
                return load()
            except Exception as error:
                if not _was_wanted(error):
                    self._fail(str(error) if isinstance(error, GpumodelsError) else f"{type(error).__name__}: {error}")
                raise
            finally:
                self._settle()
        finally:
            self._settle()  # an interrupt may have cut the first short, and leaves nothing behind

    def begin(self, model: str) -> None:
        """The load begins, of the model of that name."""
        self._change(model=model)

    def concerns(self, instance_id: str) -> None:
        """It wakes that instance, or is about to start it. Said at once: nobody shall see one without its load."""
        with self._lock:
            self._load = replace(self._load, instances=(*self._load.instances, instance_id))
            if not self._over:
                self._write()

    def says(self, text: str, fraction: float | None) -> None:
        """See `reporting.Report.progress`."""
        self._change(text=_plain(text), fraction=None if fraction is None else min(max(fraction, 0.0), 1.0))

    def notices(self, text: str) -> None:
        """See `reporting.Report.notice`."""
        self._change(log=_shortened((*self._load.log, *text.split("\n"))))

    def _change(self, **changes: Any) -> None:
        with self._lock:
            before, self._load = self._load, replace(self._load, **changes)
            if self._over or self._waiting or (self._load == before and self._next):
                return
            wait = self._next - time.monotonic()
            if wait <= 0:
                self._write()
                return
            self._waiting = True  # what is said last must be seen, however long nothing is said after it
        later = threading.Timer(wait, self._catch_up)
        later.daemon = True
        later.start()

    def _catch_up(self) -> None:
        with self._lock:
            self._waiting = False
            if not self._over:
                self._write()

    def _write(self, *, lasting: bool = False) -> bool:
        self._next = time.monotonic() + _EVERY
        place = self._place()
        return place is not None and notes.write(place, notes.LOAD, self._load.id, asdict(self._load), lasting=lasting)

    def _place(self) -> Path | None:
        if self._runtime is None:
            with suppress(GpumodelsError, OSError):  # of which the load itself will tell
                self._runtime = runtime_directory().path
        return self._runtime

    def _fail(self, why: str) -> None:
        if self._load.failed:  # it was asked for within another load, which shares this note
            return
        first, *tail = (why.strip("\n") or "no reason was given").split("\n")
        with self._lock:
            log = _shortened((*self._load.log, *tail))
            self._load = replace(self._load, failed=_reason(first, tail)[: 4 * _LONGEST], log=log)
        if (place := self._place()) is not None:
            events.tell(place, "failed", instance="", model=self._load.model, text=self._load.failed)

    def _settle(self) -> None:
        with self._lock:
            self._over = True
            if self._settled or (place := self._place()) is None:
                return
            if not self._load.failed or not self._write(lasting=True):
                notes.remove(place, notes.LOAD, self._load.id)
            else:
                self._forget_older(place)
            self._settled = True

    def _forget_older(self, place: Path) -> None:
        """Those that failed in the same way, and of the others the oldest."""
        known = [load for load in loads(place) if load.failed and load.id != self._load.id]
        same = [load for load in known if _same(load, self._load)]
        others = [load for load in known if load not in same]
        for load in same + others[: max(0, len(others) + 1 - _KEPT)]:
            notes.remove(place, notes.LOAD, load.id)


class Noted:
    """A report that is written into a note as it passes."""

    def __init__(self, report: Report, note: Note) -> None:
        self.note = note
        self._report = report

    def progress(self, text: str, fraction: float | None) -> None:
        self.note.says(text, fraction)
        self._report.progress(text, fraction)

    def notice(self, text: str) -> None:
        self.note.notices(text)
        self._report.notice(text)

    def end(self, text: str) -> None:
        self._report.end(text)


def _was_wanted(error: Exception) -> bool:
    """Whether somebody wanted the load to end: nothing is wrong with it."""
    stopped = isinstance(error, LoadFailed) and error.stopped
    return stopped or isinstance(error, (LoadCancelled, CancelledError, ModelStopped))


def _reason(first: str, tail: Sequence[str]) -> str:
    """One sentence: what the model server said last of itself tells more than that it ended."""
    said = tail[-1] if tail else ""
    if said.startswith(_SAYS) and _FAILED in said:
        return said.removeprefix(_SAYS)
    return first.removesuffix(" Its last lines:").rstrip(":")


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_plain, lines[-_LINES:]))


def _plain(line: str) -> str:
    """As it stands in a terminal in the end: without colours, and of what is written over itself the last."""
    return _CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2])[:_LONGEST]


def _same(one: Load, other: Load) -> bool:
    return (one.line, one.kernel_id or one.pid) == (other.line, other.kernel_id or other.pid)
