"""The activity of a model, which its server reports to every process of the user."""

from __future__ import annotations

import threading
import time

import pytest

from gpumodels.client import read_activity
from gpumodels.engines.local import LocalConnector
from gpumodels.errors import ModelCallError
from tests.integration.wire.conftest import wait_until

#: A model with calls that wait until the file that they name exists.
WAITS = """
from __future__ import annotations
import pathlib, time
class Model:
    def load(self, device): pass
    def predict(self, path: str) -> str:
        while not pathlib.Path(path).exists():
            time.sleep(0.01)
        return path
"""


def told(served):
    return read_activity(LocalConnector(served.sockets, None), served.name, 10)


@pytest.mark.parametrize("lane", [True, False])
def test_calls_that_run_and_wait_are_told_while_they_do(serve, tmp_path, lane):
    served = serve(WAITS)
    clients = [served.client(lane=lane) for _ in range(4)]
    go = tmp_path / "go"
    threads = [threading.Thread(target=client.call, args=((str(go),), {})) for client in clients]
    for thread in threads:
        thread.start()
    wait_until(lambda: told(served).running == 1 and told(served).waiting == 3)
    go.touch()
    for thread in threads:
        thread.join()
    wait_until(lambda: told(served).calls == 4)
    seen = told(served)
    assert (seen.running, seen.waiting, seen.errors) == (0, 0, 0)
    assert 0 < seen.per_second <= 4
    assert 0 < seen.p50 <= seen.p99


def test_calls_of_both_ways_count_and_errors_are_told(serve):
    served = serve("class Model:\n def load(self, device): pass\n def predict(self, x: int) -> int: return 6 // x\n")
    client = served.client()
    seen = told(served)
    assert (seen.calls, seen.last_call, seen.p50, seen.per_second) == (0, 0.0, None, 0.0)
    before = time.time()
    assert client.call((2,), {}) == 3
    assert served.client(lane=False).call((3,), {}) == 2
    with pytest.raises(ModelCallError):
        client.call((0,), {})
    wait_until(lambda: told(served).calls == 3)
    seen = told(served)
    assert seen.errors == 1
    assert before - 0.001 <= seen.last_call <= time.time()


def test_of_a_server_that_is_not_there_nothing_is_told(tmp_path):
    assert read_activity(LocalConnector(tmp_path, None), "echo", 1) is None
