"""Access to NVML. No other module imports pynvml.

NVML is loaded and started at the first reading, and stays started. Only one thread reads at a time. NVML is started
again in a forked child, and after it was lost, because the driver was reloaded or another library in this process shut
NVML down. A failed start is not remembered, so that a driver that is installed later is found.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
#: A function that calls a function of pynvml by name: `ask("nvmlDeviceGetName", handle)`.
Ask = Callable[..., Any]

UNINITIALIZED = 1
NO_PERMISSION = 4
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
GPU_IS_LOST = 15
RESET_REQUIRED = 16
VERSION_MISMATCH = 18

_DRIVER = Path("/proc/driver/nvidia/version")


class NotAvailable(Exception):  # a valid answer, so its name does not end in Error
    """NVML has no answer. The text gives the reason, in words for a user."""


class Lost(NotAvailable):
    """NVML is no longer started. Starting it again may help."""


class FallenOff(NotAvailable):
    """A GPU does not answer until it is repaired. Other GPUs may answer."""


_KINDS: dict[int, type[NotAvailable]] = {
    UNINITIALIZED: Lost,
    DRIVER_NOT_LOADED: Lost,
    GPU_IS_LOST: FallenOff,
    RESET_REQUIRED: FallenOff,
}


class _Gate:
    """The access to NVML in this process. One thread at a time uses NVML."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pynvml: Any = None
        self._started = False

    def read(self, reading: Callable[[Ask], T]) -> T:
        """Run `reading` while NVML is started and no other thread uses it. Raises NotAvailable.

        `reading` must return plain values only: NVML handles are invalid once NVML is started again.
        """
        with self._lock:
            self._start()
            try:
                return reading(self._ask)
            except Lost:
                self._stop()
            self._start()
            return reading(self._ask)

    def _start(self) -> None:
        if self._started:
            return
        if self._pynvml is None:
            try:
                self._pynvml = importlib.import_module("pynvml")
            except ImportError:
                raise NotAvailable("the Python package nvidia-ml-py is not installed") from None
        self._ask("nvmlInit")
        self._started = True

    def _stop(self) -> None:
        self._started = False
        with contextlib.suppress(NotAvailable):  # NVML may be gone already
            self._ask("nvmlShutdown")

    def _ask(self, function: str, *arguments: object) -> Any:
        try:
            return getattr(self._pynvml, function)(*arguments)
        except self._pynvml.NVMLError as error:
            raise _KINDS.get(error.value, NotAvailable)(_reason(error)) from error

    def after_fork(self) -> None:
        """Start over. The after-fork hook calls this in the child, where the parent's lock and NVML cannot be used."""
        self._lock = threading.RLock()
        self._started = False


_gate = _Gate()
read = _gate.read
os.register_at_fork(after_in_child=_gate.after_fork)


def optional(ask: Ask, function: str, *arguments: object) -> Any:
    """Call `ask`. Return its answer, or None if NVML has none for this GPU, driver or user. Raises Lost, FallenOff."""
    try:
        return ask(function, *arguments)
    except (Lost, FallenOff):
        raise
    except NotAvailable:
        return None


def _reason(error: Any) -> str:
    if error.value == LIBRARY_NOT_FOUND and _DRIVER.exists():
        return "the NVIDIA driver is loaded but libnvidia-ml.so.1 is not here (a container without the nvidia runtime?)"
    reasons = {
        LIBRARY_NOT_FOUND: "no NVIDIA driver is installed (libnvidia-ml.so.1 not found)",
        DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded, or this process may not see it",
        NO_PERMISSION: "no permission to use the NVIDIA driver (/dev/nvidia*)",
        VERSION_MISMATCH: "the NVIDIA driver was upgraded and the machine must be restarted",
        GPU_IS_LOST: "it has fallen off the bus, and only a restart of the machine may bring it back",
        RESET_REQUIRED: "it must be reset (nvidia-smi --gpu-reset) before it can be used",
    }
    return reasons.get(error.value, f"the NVIDIA driver answers: {error}")
