"""A load looks after what it started, while it waits for it to be ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gpumodels.errors import LeaseUnseen, LoadFailed
from gpumodels.lease.leash import UNSEEN
from gpumodels.presentation import duration

if TYPE_CHECKING:
    from gpumodels.engines.base import Ending, Instance
    from gpumodels.errors import EngineError
    from gpumodels.instances.progress import Report
    from gpumodels.lease.directory import InstanceDirectory

_ENGINE_ASKED_EVERY = 0.2  # seconds


class Watch:
    """Looked at between tries to connect: is the instance still alive?"""

    def __init__(
        self, report: Report, name: str, instance: Instance, directory: InstanceDirectory, began: float
    ) -> None:
        self.report, self.name, self.instance, self.directory, self.began = report, name, instance, directory, began
        self.asked = time.monotonic()

    def check(self) -> None:
        """Raise LeaseUnseen or LoadFailed where the instance has ended."""
        now = time.monotonic()
        if now - self.asked < _ENGINE_ASKED_EVERY:
            return
        self.asked = now
        self.report.progress(f"loading {self.name} ({duration(now - self.began)})", None)
        ending = self.instance.ending()
        if ending is not None:
            raise self._stopped() or self._failure(ending)

    def _stopped(self) -> LoadFailed | None:
        if (stopped := self.directory.ended) is None:
            return None
        error = LoadFailed(f"{self.name} was {stopped}, while it was loaded.")
        error.stopped = True
        return error

    def _failure(self, ending: Ending) -> EngineError | LoadFailed:
        tail = self.instance.logs()
        if ending.exit_code == UNSEEN:
            return LeaseUnseen(
                f"What was started for {self.name} does not see this machine's files ({tail}), so it could not end "
                "with the notebook. Use `--engine process`."
            )
        if ending.out_of_memory:
            return LoadFailed(
                f"{self.name} could not be loaded: the system killed it for using too much memory.\n{tail}"
            )
        return LoadFailed(
            f"{self.name} could not be loaded; its model server ended with exit code {ending.exit_code}:\n{tail}"
        )
