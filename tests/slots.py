"""A model server that runs two calls at once: a scheduler for tests, and how to start a server with it.

Imports nothing but the model server, so that an instance can run it, which sees no other room of the package.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from gpumodels.server.scheduler import Scheduler

_PROGRAM = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})  # last, so that nothing here hides a module of the author's
from slots import TwoSlots
from gpumodels.server.__main__ import main
main(TwoSlots)
"""

#: Python's arguments in place of `-m gpumodels.server`.
SERVER = ("-c", _PROGRAM)


class TwoSlots(Scheduler):
    """Runs two calls at once, on two threads."""

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
            del call  # and with it its inputs, which must not live until the next one comes
