"""Connections of a server with two slots: with a running call, with a waiting call, and with unread answers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gpumodels.errors import CallTimeout
from gpumodels.protocol import frames, messages
from tests.integration.wire.conftest import server_files, wait_until
from tests.integration.wire.test_hostile_clients import NO_MEMORY
from tests.integration.wire.two_slots import WAITS, activity, request_of, wait_for_calls


def test_the_loop_does_not_spin_while_a_call_runs_whose_client_has_left(serve_two, pool, tmp_path):
    # epoll would report the end of the client again and again.
    served = serve_two(WAITS.replace("if cancelled():", "if False:"))
    client = served.client()
    with pytest.raises(CallTimeout):
        client.call((str(tmp_path / "go"),), {}, 0.2)
    before = _processor_seconds(served)
    time.sleep(1)
    assert _processor_seconds(served) - before < 0.4
    wait_for_calls(served, 1)
    (tmp_path / "go").touch()
    wait_for_calls(served, 0)
    wait_until(lambda: activity(served).errors == 1)


def _processor_seconds(served):
    facts = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def test_a_connection_with_a_running_call_is_not_closed_for_new_connections(serve_two, pool, tmp_path, connect):
    served = serve_two(WAITS)
    client = served.client()
    running = pool.submit(client.call, (str(tmp_path / "go"),), {})
    served.wait_for_log("began go")
    for _ in range(300):
        connect(served)
    wait_until(lambda: server_files(served) > 200)
    assert served.client().call((str(tmp_path),), {}, 30).startswith("went False")
    (tmp_path / "go").touch()
    assert running.result(30).startswith("went False")


def test_requests_sent_before_the_answer_are_answered_in_order(serve_two, connect):
    served = serve_two("class Model:\n def load(self, d): pass\n def predict(self, x: int) -> int: return x\n")
    served.client()
    peer = connect(served)
    for number in range(50):
        peer.send(frames.INFER, request_of(number))
    for number in range(50):
        frame = peer.frame()
        assert frame.kind == frames.ANSWER
        assert messages.ModelInferResponse.FromString(frame.body).id == str(number)


IMPATIENT = """
import numpy as np
from gpumodels.server import connection
class Model:
    def load(self, device):
        connection._UNREAD_LIMIT = 0.5
    def predict(self, x: int) -> np.ndarray:
        return np.zeros(x, np.uint8)
"""


def test_an_unread_answer_delays_no_other_call_while_a_slot_is_free(serve_two, connect):
    served = serve_two(NO_MEMORY + IMPATIENT)
    client = served.client()
    connect(served).send(frames.INFER, request_of(50_000_000))
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert client.call((10,), {}, 30).shape == (10,)
    assert "given up" not in served.log
    connect(served).send(frames.INFER, request_of(50_000_000))
    wait_for_calls(served, 2)
    assert client.call((10,), {}, 30).shape == (10,)
    served.wait_for_log("an answer that was not read within 0 s held up other calls: it was given up")
