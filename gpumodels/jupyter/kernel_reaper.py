"""Cleanup after the kernels of this Jupyter server, in case their guards could not do it.

The lease ends the models of a dead kernel, and the kernel's guard removes the rest. If both processes of the guard were
killed too, or an engine was down, the Jupyter server removes the rest: it started the kernel and notices its end.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from tornado.ioloop import PeriodicCallback

if TYPE_CHECKING:
    from logging import Logger

    from gpumodels.jupyter.kernels import Kernels

_EVERY = 2.0  # seconds between two searches for new kernels
_PATIENCE = 3.0  # seconds for leash and guard to clean up, after the longest grace of the kernel's models
_TRIES = 6  # the pause between two tries doubles each time


class KernelReaper:
    """The cleanup after kernels. The event loop notices that a kernel has ended; a thread then waits and cleans up."""

    def __init__(self, kernels: Kernels, log: Logger) -> None:
        self._kernels = kernels
        self._log = log
        self._known: set[int] = set()
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._reaping: Thread | None = None

    def start(self) -> None:
        """Watch the kernels from now on; called on the event loop. Without pidfds, outside Linux, do nothing."""
        if hasattr(os, "pidfd_open"):
            PeriodicCallback(self.watch_new_kernels, 1000 * _EVERY).start()

    def watch_new_kernels(self) -> None:
        """Watch the process of each new kernel by a pidfd, which becomes readable when the process ends."""
        processes = self._kernels.processes()
        for pid in processes - self._known:
            with suppress(OSError):  # the kernel has ended already, too soon to have loaded a model
                watched = os.pidfd_open(pid)
                asyncio.get_running_loop().add_reader(watched, self._on_end, watched, pid)
        self._known = processes

    def _on_end(self, watched: int, pid: int) -> None:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
        self._ended.put(pid)
        if self._reaping is None:
            self._reaping = Thread(target=self._reap_all, name="gpumodels kernel reaper", daemon=True)
            self._reaping.start()

    def _reap_all(self) -> None:
        while True:
            pids = {self._ended.get()}
            with suppress(Empty):  # a server that restarts its kernels ends many at once
                while True:
                    pids.add(self._ended.get(timeout=0.5))
            try:
                self._reap(pids)
            except Exception:  # noqa: BLE001  (the thread goes on with the next kernel)
                self._log.exception("gpumodels: cleaning up after a kernel failed; the next load tries again")

    def _reap(self, pids: set[int]) -> None:
        """Wait for the leash and the guard to clean up. Then remove what they left, and log it."""
        from gpumodels.cleanup import reap  # noqa: PLC0415  (imported when the first kernel ends)

        pause = _PATIENCE + _longest_grace(pids)
        for _ in range(_TRIES):
            time.sleep(pause)
            reaped = reap(within=_PATIENCE)
            for what in reaped.removed:
                self._log.warning("gpumodels: %s was left by a kernel that ended, and is removed now", what)
            if not reaped.left:
                return
            pause *= 2
        self._log.warning("gpumodels: %s could not be removed; the next load tries again", ", ".join(reaped.left))


def _longest_grace(pids: set[int]) -> float:
    """Return the longest grace of the instances that these processes held, in seconds; 0 if there are none.

    Instances without a readable record do not count.
    """
    from gpumodels.instances import runtime_directory  # noqa: PLC0415
    from gpumodels.lease import UnknownRecordError  # noqa: PLC0415

    longest = 0.0
    runtime = runtime_directory()
    for directory in [*runtime.instances(), *runtime.claimed()]:
        with suppress(UnknownRecordError):
            if any(directory.was_held_by(pid) for pid in pids):
                longest = max(longest, directory.record().grace)
    return longest
