"""`LoadJournal`: the note, a file by which a load publishes its progress and its failure for all views."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from gpumodels.errors import GpumodelsError, LoadCancelled, LoadFailed, ModelStopped
from gpumodels.instances import Load, list_loads, new_load_id, runtime_directory, this_process
from gpumodels.lease import events, notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gpumodels.model import Report

T = TypeVar("T")

_PERIOD = 0.2  # seconds between two writes, because a build may print hundreds of lines a second
#: The most notes of failed loads that are kept.
_KEPT = 20
_LINES, _LONGEST = 60, 500  # lines of a log, and characters of a line

#: Escape sequences (ECMA-48) and other control characters, except for the tab.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0a-\x1f\x7f]")
#: Parts of the last line of a model server whose model failed to load; see `server.__main__`.
_SERVER, _FAILED = "gpumodels: ", " failed to load: "


class LoadJournal:
    """A report that passes everything to another report, and publishes it as a note in the runtime directory.

    Threads may use it at the same time. If the note cannot be written, other processes do not see the load, but the
    load goes on.
    """

    def __init__(self, report: Report, model: str, line: str, load_id: str = "", runtime: Path | None = None) -> None:
        """Create the journal of a load of `model`. `line` is its `%load_model ...`, `runtime` the runtime directory."""
        self._report = report
        self.owner = here = this_process()
        self._load = Load(
            load_id or new_load_id(model), model, line, here.notebook, here.kernel_id, here.pid, time.time()
        )
        self._lock = threading.Lock()
        self._runtime = runtime
        self._over, self._settled, self._waiting = True, False, False  # nothing is written outside of `run`
        self._next = 0.0

    def run(self, load: Callable[[], T]) -> T:
        """Run `load` and return its result. Remove the note at the end, unless the load failed."""
        self._over = self._settled = False
        self._next = 0.0
        try:
            try:
                return load()
            except Exception as error:
                if not _is_intended(error):
                    self._fail(str(error) if isinstance(error, GpumodelsError) else f"{type(error).__name__}: {error}")
                raise
            finally:
                self._settle()
        finally:
            if not self._settled:  # an interrupt ended the first try
                self._settle()

    def begin(self, model: str) -> None:
        """Publish the model's name, once it is known."""
        self._change(model=model)

    def add_instance(self, instance_id: str) -> None:
        """Publish the id of an instance that the load wakes or will start. The note is written at once.

        So views find the load's note before they find the instance.
        """
        with self._lock:
            self._load = replace(self._load, instances=(*self._load.instances, instance_id))
            if not self._over:
                self._write()

    def progress(self, text: str, fraction: float | None) -> None:
        """Show and publish the current step; see `Report`."""
        self._change(text=_plain(text), fraction=None if fraction is None else min(max(fraction, 0.0), 1.0))
        self._report.progress(text, fraction)

    def notice(self, text: str) -> None:
        """Show and publish a notice; see `Report`."""
        self._change(log=_shortened((*self._load.log, *text.split("\n"))))
        self._report.notice(text)

    def end(self, text: str) -> None:
        """Show the outcome; see `Report`."""
        self._report.end(text)

    def _change(self, **changes: Any) -> None:
        with self._lock:
            before, self._load = self._load, replace(self._load, **changes)
            if self._over or self._waiting or (self._load == before and self._next):
                return
            wait = self._next - time.monotonic()
            if wait <= 0:
                self._write()
                return
            self._waiting = True  # write the change later: it may be the last one for long
        later = threading.Timer(wait, self._catch_up)
        later.daemon = True
        later.start()

    def _catch_up(self) -> None:
        with self._lock:
            self._waiting = False
            if not self._over:
                self._write()

    def _write(self, *, lasting: bool = False) -> bool:
        self._next = time.monotonic() + _PERIOD
        path = self._path()
        return path is not None and notes.write(path, notes.LOAD, self._load.id, asdict(self._load), lasting=lasting)

    def _path(self) -> Path | None:
        if self._runtime is None:
            with suppress(GpumodelsError, OSError):  # the load will fail for the same reason and report it
                self._runtime = runtime_directory().path
        return self._runtime

    def _fail(self, why: str) -> None:
        if self._load.failed:  # a load inside this one shares the journal, and has published the failure
            return
        first, *tail = (why.strip("\n") or "no reason was given").split("\n")
        with self._lock:
            log = _shortened((*self._load.log, *tail))
            self._load = replace(self._load, failed=_reason(first, tail)[: 4 * _LONGEST], log=log)
        if (path := self._path()) is not None:
            events.log(path, "failed", instance="", model=self._load.model, text=self._load.failed)

    def _settle(self) -> None:
        """Remove the note, or make it a lasting one if the load failed."""
        with self._lock:
            self._over = True
            if self._settled or (path := self._path()) is None:
                return
            if not self._load.failed or not self._write(lasting=True):
                notes.remove(path, notes.LOAD, self._load.id)
            else:
                self._forget_older(path)
            self._settled = True

    def _forget_older(self, path: Path) -> None:
        """Remove older notes of failed loads: of the same load in this notebook, and the oldest beyond `_KEPT`."""
        known = [load for load in list_loads(path) if load.failed and load.id != self._load.id]
        same = [load for load in known if _is_same(load, self._load)]
        others = [load for load in known if load not in same]
        for load in same + others[: max(0, len(others) + 1 - _KEPT)]:
            notes.remove(path, notes.LOAD, load.id)


def _is_intended(error: Exception) -> bool:
    """Return True if a user cancelled the load or stopped the model, so that this is no failure."""
    stopped = isinstance(error, LoadFailed) and error.stopped
    return stopped or isinstance(error, (LoadCancelled, CancelledError, ModelStopped))


def _reason(first: str, tail: Sequence[str]) -> str:
    """Return the reason of a failure in one sentence.

    `tail` are the last lines of the log. If the last one is the model server's own reason, return that line. Otherwise
    return `first`, the first line of the error's message.
    """
    last = tail[-1] if tail else ""
    if last.startswith(_SERVER) and _FAILED in last:
        return last.removeprefix(_SERVER)
    return first.removesuffix(" Its last lines:").rstrip(":")


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_plain, lines[-_LINES:]))


def _plain(line: str) -> str:
    """Return a line as a terminal shows it: without colours, and without parts that carriage returns overwrite."""
    return _CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2])[:_LONGEST]


def _is_same(one: Load, other: Load) -> bool:
    return (one.line, one.kernel_id or one.pid) == (other.line, other.kernel_id or other.pid)
