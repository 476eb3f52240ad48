"""What tests of a server of two slots share: a model whose calls wait, and questions to the server."""

from __future__ import annotations

from gpumodels.client import read_activity
from gpumodels.engines.local import LocalConnector
from gpumodels.protocol import messages
from tests.integration.wire.conftest import wait_until

#: Each call runs until its file `go` is there, or until it is cancelled, and says which.
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


def told(served):
    return read_activity(LocalConnector(served.sockets, None), served.name, 10)


def runs(served, running, waiting=0):
    wait_until(lambda: (told(served).running, told(served).waiting) == (running, waiting))


def asking(number):
    """A request with one INT64, `x`."""
    request = messages.ModelInferRequest(model_name="model0", id=str(number))
    request.inputs.add(name="x", datatype="INT64", shape=[])
    request.raw_input_contents.append(number.to_bytes(8, "little"))
    return request.SerializeToString()
