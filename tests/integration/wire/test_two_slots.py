"""A model server that runs two calls at once.

Only tests have such a scheduler (`tests/slots.py`). The loop, the connections and the sleep are those of the server.
"""

from __future__ import annotations

import json
import threading
import time

import grpc
import numpy as np
import pytest

from gpumodels.errors import CallTimeout, ModelCallError, ModelGone
from gpumodels.protocol import files, messages, methods
from gpumodels.server.sleep import EXIT_CODE
from tests.integration.wire.conftest import wait_until
from tests.integration.wire.two_slots import WAITS, activity, request_of, wait_for_calls

WAYS = pytest.mark.parametrize(
    "lanes", [(True, True), (False, False), (True, False)], ids=["lane", "grpc", "lane and grpc"]
)


MEET = """
import threading
class Model:
    def load(self, device):
        self.both = threading.Barrier(2)
    def predict(self, x: int) -> int:
        self.both.wait(20)
        return x
"""


@WAYS
def test_two_calls_are_inside_predict_at_the_same_time(serve_two, pool, lanes):
    served = serve_two(MEET)
    clients = [served.client(lane=lane) for lane in lanes]
    for _ in range(50):
        calls = [pool.submit(client.call, (number,), {}) for number, client in enumerate(clients)]
        assert [each.result(30) for each in calls] == [0, 1]


def test_one_client_can_use_both_slots(serve_two, pool):
    client = serve_two(MEET).client()
    assert list(pool.map(lambda number: client.call((number,), {}), range(40))) == list(range(40))


STREAMS = MEET.replace("def predict(self, x: int) -> int:", "def predict(self, x: int):").replace(
    "        self.both.wait(20)\n        return x\n",
    "        for step in range(20):\n            self.both.wait(20)\n            yield {'x': x, 'step': step}\n",
)


@WAYS
def test_two_streams_run_at_the_same_time(serve_two, pool, lanes):
    served = serve_two(STREAMS)
    client = served.client()
    streams = [
        pool.submit(client.call, (number,), {}) if lane else pool.submit(_stream_by_grpc, served, number)
        for number, lane in enumerate(lanes)
    ]
    for number, stream in enumerate(streams):
        assert stream.result(30) == [{"x": number, "step": step} for step in range(20)]


def _stream_by_grpc(served, number):
    request = messages.ModelInferRequest.FromString(request_of(number))
    with grpc.insecure_channel(f"unix:{served.sockets / files.SOCKET_NAME}") as channel:
        answers = list(methods.stub(channel).ModelStreamInfer(iter([request]), timeout=30))
    assert [each.error_message for each in answers] == [""] * len(answers)
    contents = [each.infer_response.raw_output_contents[0] for each in answers]
    return [json.loads(content[4:]) for content in contents]  # the length, then a JSON value


@WAYS
@pytest.mark.parametrize("first", [0, 1])
def test_the_end_of_one_call_does_not_affect_the_other(serve_two, pool, tmp_path, lanes, first):
    served = serve_two(WAITS)
    clients = [served.client(lane=lane) for lane in lanes]
    stays, leaves = clients[first], clients[1 - first]
    staying = pool.submit(stays.call, (str(tmp_path / "stays"),), {})
    served.wait_for_log("began stays")
    with pytest.raises(CallTimeout):
        leaves.call((str(tmp_path / "leaves"),), {}, 0.3)
    served.wait_for_log("cancelled leaves")
    wait_for_calls(served, 1)
    (tmp_path / "stays").touch()
    assert staying.result(30) == "went False False"
    assert "cancelled stays" not in served.log
    assert served.log.count("call cancelled by the client") == 1


def test_a_thread_of_the_author_learns_of_the_cancellation_only_if_one_call_runs(serve_two, pool):
    source = """
import threading, time
from gpumodels.server import cancelled
class Model:
    def load(self, device):
        self.stops = threading.Event()
        threading.Thread(target=self.look, daemon=True).start()
    def look(self):
        while True:
            time.sleep(0.01)
            if cancelled():
                print("the thread noticed", flush=True)
                self.stops.set()
    def predict(self, x: int) -> int:
        self.stops.wait(20)
        return x
"""
    served = serve_two(source)
    client = served.client()
    running = [pool.submit(client.call, (1,), {}, limit) for limit in (0.5, 1.5)]
    for each in running:
        with pytest.raises(CallTimeout):
            each.result(30)
    assert "the thread noticed" not in served.log  # both clients have left, but the thread belongs to neither call
    served.process.kill()
    alone = serve_two(source)
    with pytest.raises(CallTimeout):
        alone.client().call((1,), {}, 0.2)
    alone.wait_for_log("the thread noticed")


@WAYS
def test_two_calls_run_while_a_third_waits(serve_two, pool, tmp_path, lanes):
    served = serve_two(WAITS)
    clients = [served.client(lane=lane) for lane in (*lanes, lanes[0])]
    go = tmp_path / "go"
    first = pool.submit(clients[0].call, (str(go),), {})
    wait_for_calls(served, 1)
    second = pool.submit(clients[1].call, (str(go),), {})
    wait_for_calls(served, 2)
    third = pool.submit(clients[2].call, (str(go),), {})
    wait_for_calls(served, 2, waiting=1)
    time.sleep(0.2)
    assert (activity(served).running, activity(served).waiting) == (2, 1)
    go.touch()
    for each in (first, second, third):
        assert each.result(30).startswith("went False")
    wait_until(lambda: activity(served).calls == 3)
    seen = activity(served)
    assert (seen.running, seen.waiting, seen.errors) == (0, 0, 0)


HASTY = """
import sys
class Model:
    def load(self, device):
        sys.setswitchinterval(1e-6)  # so that the threads of the loop and of the slots switch at any moment
    def predict(self, x: int) -> int:
        return x
"""


def test_waiting_calls_of_the_lane_and_of_grpc_run_in_turn(serve_two, pool):
    served = serve_two(HASTY)
    clients = [served.client(lane=lane) for lane in (True, True, True, False, False, False)]
    end, made = time.monotonic() + 2, [0] * len(clients)

    def call(number):
        while time.monotonic() < end:
            assert clients[number].call((number,), {}, 30) == number
            made[number] += 1

    list(pool.map(call, range(len(clients))))
    assert min(made) > 20


@pytest.mark.parametrize("asked", [False, True], ids=["idle", "asked"])
def test_sleep_waits_for_a_call_that_runs_in_a_slot(serve_two, pool, tmp_path, asked):
    # One slot is free, so the loop waits for events while the call runs, and none arrives.
    served = serve_two(WAITS, GPUMODELS_IDLE="0.3")
    client = served.client()
    go = tmp_path / "go"
    running = pool.submit(client.call, (str(go),), {})
    served.wait_for_log("began go")
    watch = client.watch()
    if asked:
        watch.ask_for_sleep()
    time.sleep(1.5)
    assert served.process.poll() is None
    assert not running.done()
    went = time.monotonic()
    go.touch()
    assert running.result(30).startswith("went False")
    while not watch.hear():
        pass
    watch.answer()
    while not watch.asleep:
        watch.hear()
    watch.close()
    assert served.process.wait(10) == EXIT_CODE
    assert asked or time.monotonic() - went > 0.3  # the idle time begins with the end of the call
    assert "falls asleep" in served.log


def test_a_call_on_the_second_slot_keeps_a_server_awake_that_is_about_to_sleep(serve_two, pool, tmp_path):
    served = serve_two(WAITS, GPUMODELS_IDLE="0.3")
    client = served.client()
    watch = client.watch()
    while not watch.hear():  # after that, the server waits two seconds for the answer
        pass
    running = pool.submit(client.call, (str(tmp_path / "go"),), {})
    served.wait_for_log("began go")
    watch.answer()
    time.sleep(1)
    assert served.process.poll() is None
    (tmp_path / "go").touch()
    assert running.result(30).startswith("went False")
    watch.close()


CRASHES = """
import os, time
class Model:
    def load(self, device): pass
    def predict(self, crash: bool) -> int:
        print("began", flush=True)
        time.sleep(0.5 if crash else 20)
        os._exit(9)
"""


@WAYS
def test_a_crash_ends_both_calls_and_a_waiting_call_has_not_begun(serve_two, pool, lanes):
    served = serve_two(CRASHES)
    clients = [served.client(lane=lane) for lane in lanes]
    waits = served.client()
    running = [pool.submit(clients[0].call, (False,), {}), pool.submit(clients[1].call, (True,), {})]
    wait_for_calls(served, 2)
    waiting = pool.submit(waits.call, (False,), {})
    for each in running:
        assert isinstance(each.exception(30), ModelGone)
        assert each.exception().begun
    assert isinstance(waiting.exception(30), ModelGone)
    assert not waiting.exception().begun  # so it can be sent to another replica
    assert served.process.wait(10) == 9
    assert served.log.count("began") == 2


def test_an_error_in_one_slot_fails_only_its_own_call(serve_two, pool):
    source = MEET.replace("return x", "return 6 // x")
    client = serve_two(source).client()
    fails, works = (pool.submit(client.call, (x,), {}) for x in (0, 3))
    with pytest.raises(ModelCallError, match="ZeroDivisionError"):
        fails.result(30)
    assert works.result(30) == 2


def test_each_caller_receives_its_own_large_result(serve_two, pool):
    source = MEET.replace("import threading", "import threading\nimport numpy as np").replace(
        "(self, x: int) -> int:", "(self, x: np.ndarray) -> np.ndarray:"
    )
    client = serve_two(source).client()
    arrays = [np.full(500_000, number, np.uint8) for number in range(16)]
    for array, result in zip(arrays, pool.map(lambda each: client.call((each,), {}), arrays), strict=True):
        np.testing.assert_array_equal(result, array)


def test_a_call_never_sees_the_cancellation_of_another_call_under_load(serve_two, pool):
    source = """
import time
from gpumodels.server import cancelled
class Model:
    def load(self, device): pass
    def predict(self, leaves: bool) -> bool:
        end = time.monotonic() + 0.02
        while time.monotonic() < end and not leaves:
            if cancelled():
                return True
        while leaves and not cancelled():
            time.sleep(0.001)
        return False
"""
    served = serve_two(source)
    client, other = served.client(), served.client()
    over = threading.Event()

    def leave():
        while not over.is_set():
            with pytest.raises(CallTimeout):
                other.call((True,), {}, 0.01)

    leaving = pool.submit(leave)
    assert not any(client.call((False,), {}, 30) for _ in range(100))
    over.set()
    leaving.result(30)
