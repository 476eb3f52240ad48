"""Helpers for tests of a server with two slots: a model with calls that wait, and readings of the activity."""

from __future__ import annotations

from gpumodels.client import read_activity
from gpumodels.engines.local import LocalConnector
from gpumodels.protocol import messages
from tests.integration.wire.conftest import wait_until

#: A model. Each call runs until the file `go` exists, or until it is cancelled, and returns which of both happened.
WAITS = """
import threading, time
from pathlib import Path
from gpumodels.server import cancelled
class Model:
    def load(self, device): pass
    def predict(self, go: str) -> str:
        print("began", Path(go).name, flush=True)
        while not Path(go).exists():
            if cancelled():
                print("cancelled", Path(go).name, flush=True)
                return "cancelled"
            time.sleep(0.01)
        return f"went {cancelled()} {self.from_a_thread()}"
    def from_a_thread(self):
        asked = []
        thread = threading.Thread(target=lambda: asked.append(cancelled()))
        thread.start()
        thread.join()
        return asked[0]
"""


def activity(served):
    return read_activity(LocalConnector(served.sockets, None), served.name, 10)


def wait_for_calls(served, running, waiting=0):
    wait_until(lambda: (activity(served).running, activity(served).waiting) == (running, waiting))


def request_of(number):
    """Return a request with one INT64 input, `x`, as bytes."""
    request = messages.ModelInferRequest(model_name="model0", id=str(number))
    request.inputs.add(name="x", datatype="INT64", shape=[])
    request.raw_input_contents.append(number.to_bytes(8, "little"))
    return request.SerializeToString()
