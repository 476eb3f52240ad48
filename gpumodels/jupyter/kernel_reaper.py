"""A second net under the lease: when a kernel of this server has ended, what it left behind is removed.

The lease ends what a dead kernel held, and its guard removes the rest. Should both guards have been killed, or an
engine have been down, the Jupyter server, which started the kernel, still knows that it is gone.
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

_EVERY = 2.0  # seconds between two looks at which kernels there are
_PATIENCE = 3.0  # seconds that leash and guard have, after the longest grace of the kernel's models
_TRIES = 6  # at what could not be removed at first, at longer and longer pauses


class KernelReaper:
    """Lives on the server's event loop, where it only notes; whatever waits is done by one thread."""

    def __init__(self, kernels: Kernels, log: Logger) -> None:
        self._kernels = kernels
        self._log = log
        self._known: set[int] = set()
        self._ended: SimpleQueue[int] = SimpleQueue()
        self._catching: Thread | None = None

    def start(self) -> None:
        """Watch from now on; to be called on the loop. Elsewhere than on Linux no kernel holds a model."""
        if hasattr(os, "pidfd_open"):
            PeriodicCallback(self.look, 1000 * _EVERY).start()

    def look(self) -> None:
        """Have the system tell when the process of a new kernel ends, be it killed, restarted or shut down."""
        processes = self._kernels.processes()
        for pid in processes - self._known:
            with suppress(OSError):  # it has ended already, before it can have loaded anything
                watched = os.pidfd_open(pid)
                asyncio.get_running_loop().add_reader(watched, self._end, watched, pid)
        self._known = processes

    def _end(self, watched: int, pid: int) -> None:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
        self._ended.put(pid)
        if self._catching is None:
            self._catching = Thread(target=self._catch_all, name="gpumodels net", daemon=True)
            self._catching.start()

    def _catch_all(self) -> None:
        while True:
            pids = {self._ended.get()}
            with suppress(Empty):  # a server that restarts its kernels ends many at once
                while True:
                    pids.add(self._ended.get(timeout=0.5))
            try:
                self._catch(pids)
            except Exception:  # noqa: BLE001  the next death is looked at all the same
                self._log.exception("gpumodels: looking for what a kernel left failed; the next load tries again")

    def _catch(self, pids: set[int]) -> None:
        """Remove what nobody holds any more, once those whose task it is had their time; say what it was."""
        from gpumodels.cleanup import reap  # noqa: PLC0415  a server whose kernels load nothing needs it late

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
    """Of what those processes held, in seconds; as far as it can still be read."""
    from gpumodels.instances import runtime_directory  # noqa: PLC0415
    from gpumodels.lease import UnknownRecordError  # noqa: PLC0415

    longest = 0.0
    runtime = runtime_directory()
    for directory in [*runtime.instances(), *runtime.claimed()]:
        with suppress(UnknownRecordError):
            if any(directory.was_held_by(pid) for pid in pids):
                longest = max(longest, directory.record().grace)
    return longest
