"""Clean-up by engines. Each engine has its own thread and deadline, so one that hangs or fails delays no other."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from gpumodels import engines
from gpumodels.engines import Engine
from gpumodels.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_POLL = 0.05  # seconds between two looks at a run
#: An engine is given up when it has only hung and failed for this number of its `cleanup_seconds`.
_GIVE_UP_AFTER = 20

#: The last run of each engine.
_last: dict[str, Run] = {}
#: The beginning of the first run of each engine, by time.monotonic(), since which it has only hung and failed.
_failing_since: dict[str, float] = {}


class Run(threading.Thread):
    """A thread that runs one task of one engine."""

    def __init__(self, name: str, task: Callable[[Engine], Any]) -> None:
        super().__init__(name=f"gpumodels clean-up by {name}", daemon=True)
        self.engine_name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self.began = time.monotonic()
        #: Seconds after which the run counts as hanging. Once the engine is imported, its own value is used.
        self.seconds = Engine.cleanup_seconds
        self._task = task

    def run(self) -> None:
        try:
            engine = engines.engine(self.engine_name)
            self.seconds = engine.cleanup_seconds
            self.result = self._task(engine)
        except BaseException as error:  # noqa: BLE001  an engine of another package may raise any error
            self.error = error


def run_each(tasks: Mapping[str, Callable[[Engine], Any]], within: float = float("inf")) -> dict[str, Run]:
    """Run a task of each engine, all at the same time, and return the runs that ended.

    Wait for each run as long as its engine's `cleanup_seconds` allow, and at most `within` seconds. A run that takes
    longer goes on, and its engine is skipped until it has ended.
    """
    runs = {name: Run(name, task) for name, task in tasks.items() if not _still_busy(name)}
    for name, run in runs.items():
        _last[name] = run
        run.start()
    began = time.monotonic()
    for run in runs.values():
        while run.is_alive() and (took := time.monotonic() - began) < within:
            if took >= run.seconds:
                _failing_since.setdefault(run.engine_name, run.began)
                break
            run.join(min(_POLL, within - took))
    ended = {name: run for name, run in runs.items() if not run.is_alive()}
    for name, run in ended.items():
        _count(name, run)
    return ended


def _still_busy(name: str) -> bool:
    return name in _last and _last[name].is_alive()


def _count(name: str, run: Run) -> None:
    if run.error is None or isinstance(run.error, EngineUnavailable):  # while it is down, guards wait for its return
        _failing_since.pop(name, None)
    else:
        _failing_since.setdefault(name, run.began)


def is_given_up(name: str) -> bool:
    """Return True if the engine has only hung and failed for long, so that this process does not wait for it."""
    since = _failing_since.get(name)
    return since is not None and time.monotonic() - since > _GIVE_UP_AFTER * _last[name].seconds
