"""A model server that runs two calls at once: a scheduler for tests, and the command line to start a server with it.

This module imports only the model server, because it runs inside instances, which see no other part of the package.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from gpumodels.server.scheduler import Scheduler

_PROGRAM = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})  # last, so that files here do not hide modules of the author
from slots import TwoSlots
from gpumodels.server.__main__ import main
main(TwoSlots)
"""

#: The arguments of Python that replace `-m gpumodels.server`.
SERVER = ("-c", _PROGRAM)


class TwoSlots(Scheduler):
    """A scheduler that runs two calls at once, on two threads."""

    slots = 2

    def __init__(self, model):
        super().__init__(model)
        self._submitted = queue.SimpleQueue()
        self._lock = threading.Lock()
        for number in range(self.slots):
            threading.Thread(target=self._serve, name=f"slot {number}", daemon=True).start()

    @property
    def waiting(self):
        return super().waiting + self._submitted.qsize()

    def submit(self, call):
        with self._lock:
            self.in_flight += 1
        self._submitted.put(call)
        return False

    def _serve(self):
        while True:
            call = self._submitted.get()
            self.run(call)
            with self._lock:
                self.in_flight -= 1
            self.ended.put(call)
            del call  # else its inputs would stay in memory until the next call
