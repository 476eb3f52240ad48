"""The availability of Docker, checked in the background."""

from __future__ import annotations

import time
from threading import Thread

from gpumodels.errors import EngineError

_EVERY = 30.0  # seconds between two checks


class Docker:
    """The last known state of Docker.

    Reading the state starts a new check in a thread, at most every 30 seconds. So the caller never waits.
    """

    def __init__(self) -> None:
        self._found = ""
        self._next = 0.0  # by the monotonic clock

    def trouble(self) -> str:
        """Return why Docker could not be used at the last check; "" if it could, or if no check has ended yet."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            Thread(target=self._check, name="gpumodels docker", daemon=True).start()
        return self._found

    def _check(self) -> None:
        from gpumodels import engines  # noqa: PLC0415  (imported at the first check)

        try:
            engines.engine("docker").check()
        except (EngineError, ImportError) as error:
            self._found = str(error)
        else:
            self._found = ""
