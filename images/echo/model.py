"""echo: returns its input, and misbehaves on request.

The setting ECHO_LOAD says how `load` behaves: "fail" raises, "crash" ends the process, "sleep:SECONDS" waits,
"hold_gil:SECONDS" waits in C code that holds the GIL, "ignore-sigterm" makes the server deaf to SIGTERM. The optional
inputs of a call say how `predict` behaves; `model.toml` describes them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

import numpy as np

from gpumodels.server import cancelled

_POLL = 0.02  # seconds between two looks at whether the call was cancelled


class Model:
    """The author's contract: `load` once, `predict` for every call."""

    def load(self, device: str) -> None:
        """Behave as ECHO_LOAD says."""
        self.kept: Any = None
        what, _, argument = os.environ.get("ECHO_LOAD", "").partition(":")
        print(f"echo: load on {device} {what}".rstrip())  # noqa: T201 (an author prints into the log)
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
        """Do what was asked, in this order, and return `value`."""
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
    """PyDLL keeps the GIL during the call, as careless C code does."""
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
