"""echo, a model that returns its input, and fails, crashes or waits on request.

The environment setting ECHO_LOAD decides the behaviour of `load`: "fail" raises an error, "crash" ends the process,
"sleep:SECONDS" waits, "hold_gil:SECONDS" waits in C code that holds the GIL, and "ignore-sigterm" makes the server
ignore SIGTERM. The optional inputs of a call decide the behaviour of `predict`; `model.toml` describes them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

import numpy as np

from gpumodels.server import cancelled

_POLL = 0.02  # seconds between two checks for a cancelled call


class Model:
    """The model. The server calls `load` once, and `predict` for every call."""

    def load(self, device: str) -> None:
        """Behave as ECHO_LOAD requests."""
        self.kept: Any = None
        what, _, argument = os.environ.get("ECHO_LOAD", "").partition(":")
        print(f"echo: load on {device} {what}".rstrip())  # noqa: T201 (the log has what a model prints)
        if what == "fail":
            raise RuntimeError("echo was told to fail in load")
        if what == "crash":
            os._exit(9)
        if what == "sleep":
            time.sleep(float(argument))
        if what == "hold_gil":
            _hold_gil(float(argument))
        if what == "ignore-sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def predict(
        self,
        value: Any,
        sleep: float = 0.0,
        hold_gil: float = 0.0,
        allocate: int = 0,
        fail: str = "",
        crash: str = "",
        fork: float = 0.0,
    ) -> Any:
        """Do what the optional inputs request, and return `value`."""
        self.kept = np.ones(allocate, np.uint8) if allocate else None
        if fork:
            _fork(fork)
        _sleep(sleep)
        if hold_gil:
            _hold_gil(hold_gil)
        if crash:
            _crash(crash)
        if fail:
            raise ValueError(fail)
        return value


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancelled():
            print("echo: cancelled while asleep")  # noqa: T201
            return
        time.sleep(min(left, _POLL))


def _hold_gil(seconds: float) -> None:
    """Wait and hold the GIL. PyDLL, unlike CDLL, does not release it during a call."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def _crash(how: str) -> None:
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(9)


def _fork(seconds: float) -> None:
    if os.fork() == 0:
        time.sleep(seconds)
        os._exit(0)
