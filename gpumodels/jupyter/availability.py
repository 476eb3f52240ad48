"""Whether Docker can be used, looked at now and then."""

from __future__ import annotations

import time
from threading import Thread

from gpumodels.errors import EngineError

_EVERY = 30.0  # seconds


class Docker:
    """Looks in a thread, when somebody asks and the last look was a while ago; who asks never waits."""

    def __init__(self) -> None:
        self._found = ""
        self._next = 0.0  # by the monotonic clock

    def trouble(self) -> str:
        """Why Docker cannot be used, as it was when it was last looked at; "" where it can be, or is not known yet."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            Thread(target=self._look, name="gpumodels docker", daemon=True).start()
        return self._found

    def _look(self) -> None:
        from gpumodels import engines  # noqa: PLC0415  a server that nobody asks for it needs none of that

        try:
            engines.engine("docker").check()
        except (EngineError, ImportError) as error:
            self._found = str(error)
        else:
            self._found = ""
