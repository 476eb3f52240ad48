"""Checks that the instances which a load has started are alive, while the load waits for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpumodels.errors import LeaseUnseen, LoadFailed
from gpumodels.lease import UNSEEN
from gpumodels.presentation import duration

if TYPE_CHECKING:
    from gpumodels.engines import Ending
    from gpumodels.errors import EngineError
    from gpumodels.model import Attachment, Report

_PERIOD = 0.2  # seconds between two requests to the engine


class Liveness:
    """A check that one instance is alive, made between two attempts to connect. `began` is by time.monotonic()."""

    def __init__(self, attachment: Attachment, report: Report, began: float) -> None:
        self._attachment, self._report, self._began = attachment, report, began
        self._checked = time.monotonic()

    def check(self) -> None:
        """Raise LeaseUnseen or LoadFailed if the instance has ended."""
        now = time.monotonic()
        if now - self._checked < _PERIOD:
            return
        self._checked = now
        self._report.progress(f"loading {self._attachment.record.model} ({duration(now - self._began)})", None)
        ending = self._attachment.instance.ending()
        if ending is not None:
            raise self._stopped() or self._failure(ending)

    def _stopped(self) -> LoadFailed | None:
        if (stopped := self._attachment.directory.ended) is None:
            return None
        error = LoadFailed(f"{self._attachment.record.model} was {stopped}, while it was loaded.")
        error.stopped = True
        return error

    def _failure(self, ending: Ending) -> EngineError | LoadFailed:
        name, tail = self._attachment.record.model, self._attachment.instance.logs()
        if ending.exit_code == UNSEEN:
            return LeaseUnseen(
                f"What was started for {name} does not see this machine's files ({tail}), so it could not end "
                "with the notebook. Use `--engine process`."
            )
        if ending.out_of_memory:
            return LoadFailed(f"{name} could not be loaded: the system killed it for using too much memory.\n{tail}")
        return LoadFailed(
            f"{name} could not be loaded; its model server ended with exit code {ending.exit_code}:\n{tail}"
        )
