"""Clients that send wrong data, hang or die: the server goes on, serves the others, and logs what it received."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time

import numpy as np
import pytest

from gpumodels.errors import ModelGone
from gpumodels.protocol import frames, messages, region
from tests.integration.wire.conftest import server_files, wait_until
from tests.unit.client.liar import memfd

BIG = np.arange(100_000)

IMPATIENT = """
import numpy as np
from gpumodels.server import connection

class Model:
    def load(self, device):
        connection._UNREAD_LIMIT = 0.5
        self.calls = 0
    def predict(self, size: int) -> np.ndarray:
        self.calls += 1
        print("call", self.calls, flush=True)
        return np.zeros(size, np.uint8)
"""


NO_MEMORY = """
import os
def memfd_create(*_):
    raise OSError(28, "No space left on device")
os.memfd_create = memfd_create
"""


def asking(**facts):
    """Return a request for echo. Its value is an INT64 in the message, or in the region that `facts` name."""
    request = messages.ModelInferRequest(model_name="echo", id="mine")
    value = request.inputs.add(name="value", datatype="INT64", shape=[1])
    if facts:
        messages.set_parameters(value, **facts)
    else:
        request.raw_input_contents.append(b"12345678")
    return request.SerializeToString()


def handing_over(open_it):
    def lie(peer):
        fd = open_it()
        peer.hand_over(fd)
        os.close(fd)

    return lie


def regions_without_end(peer):
    for number in range(frames.MOST_REGIONS + 1):
        fd = memfd(1 << 16)
        peer.hand_over(fd, f"r{number}")
        os.close(fd)


def region_without_a_name(peer):
    fd = memfd(1 << 16)
    peer.send(frames.REGION, b"\xff" * 20, fd)
    os.close(fd)


def descriptors_without_end(peer):
    fd = memfd(1 << 16)
    with contextlib.suppress(OSError):
        for _ in range(300):
            peer.send(frames.REGION, b"", fd, length=1 << 20)
    os.close(fd)


def ten_descriptors(peer):
    fd = memfd(1 << 16)
    peer.send(frames.REGION, b"", *[fd] * 10, descriptors=1)
    os.close(fd)


LIES = {
    "an unknown kind": (lambda peer: peer.send(99), "no frame begins with"),
    "an answer": (lambda peer: peer.send(frames.ANSWER), "a client does not send frames of kind 17"),
    "4 GiB": (lambda peer: peer.send(frames.INFER, length=(1 << 32) - 1), "no frame begins with"),
    "no protobuf": (lambda peer: peer.send(frames.INFER, b"\xff" * 100), "Error parsing message"),
    "no protobuf to forget": (lambda peer: peer.send(frames.FORGET, b"\xff" * 100), "Error parsing message"),
    "a web browser": (lambda peer: peer.socket.sendall(b"GET / HTTP/1.1\r\n\r\n"), "no frame begins with"),
    "a region without a descriptor": (lambda peer: peer.send(frames.REGION, descriptors=1), "without its descriptor"),
    "a region that is a device": (handing_over(lambda: os.open("/dev/zero", os.O_RDWR)), "must be a memfd"),
    "a region that may shrink": (handing_over(lambda: memfd(1 << 20, seals=0)), "sealed against shrinking"),
    "a region without memory": (handing_over(lambda: memfd(1 << 40, whole=False)), "must have all its memory"),
    "a region that is no name's": (region_without_a_name, "Error parsing message"),
    "regions without end": (regions_without_end, "more than 64 regions are too many"),
    "descriptors without end": (descriptors_without_end, "more descriptors came"),
    "ten descriptors at once": (ten_descriptors, "more descriptors came"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_client_that_lies_is_hung_up_on(serve, connect, lie, shared):
    tell, said = LIES[lie]
    before = server_files(shared)
    peer = connect(shared)
    log = len(shared.log)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        tell(peer)
        assert peer.socket.recv(1) == b""
    wait_until(lambda: said in shared.log[log:])
    assert "a connection was closed: " in shared.log[log:]
    assert len(shared.log) - log < 500
    assert shared.caller.call((BIG,), {}, 30).sum() == BIG.sum()
    wait_until(lambda: server_files(shared) <= before)


@pytest.fixture(scope="module")
def shared(echo):
    """The echo server with a correct client, which must be served all the time."""
    echo.caller = echo.client()
    echo.caller.call((BIG,), {})
    return echo


WRONG = {
    "an unknown region": ({"shared_memory_region": "other", "shared_memory_byte_size": 8}, "no shared memory region"),
    "an offset outside": ({"shared_memory_offset": 1 << 20}, "lie outside"),
    "an offset before": ({"shared_memory_offset": -8}, "lie outside"),
    "more than there is": ({"shared_memory_byte_size": 1 << 40}, "lie outside"),
    "a size that is a word": ({"shared_memory_byte_size": "8"}, "must be a whole number"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_request_that_is_wrong_is_told_so_and_the_connection_goes_on(connect, shared, wrong):
    facts, said = WRONG[wrong]
    peer = connect(shared)
    fd = memfd(1 << 20)
    peer.hand_over(fd, "mine")
    os.close(fd)
    peer.send(frames.INFER, asking(**{"shared_memory_region": "mine", "shared_memory_byte_size": 8, **facts}))
    frame = peer.frame()
    assert frame.kind == frames.FAILED
    told = messages.parameters(messages.ModelInferResponse.FromString(frame.body))
    assert told["code"] == "INVALID_ARGUMENT"
    assert said in told["message"]
    peer.send(frames.INFER, asking())
    assert peer.frame().kind == frames.ANSWER


def test_a_client_that_writes_in_its_region_while_the_model_reads_it_harms_only_itself(connect, shared):
    peer = connect(shared)
    memory = region.create("mine", 1 << 16)
    peer.hand_over(memory.fd, "mine")
    over = threading.Event()

    def scribble():
        while not over.is_set():
            memory[:64] = os.urandom(64)

    scribbler = threading.Thread(target=scribble)
    scribbler.start()
    request = messages.ModelInferRequest(model_name="echo")
    words = request.inputs.add(name="value", datatype="BYTES", shape=[8])
    facts = {"shared_memory_region": "mine", "shared_memory_byte_size": 64, "content_type": "str"}
    messages.set_parameters(words, **facts)
    try:
        for _ in range(200):
            peer.send(frames.INFER, request.SerializeToString())
            assert peer.frame().kind in {frames.ANSWER, frames.FAILED}
    finally:
        over.set()
        scribbler.join()
    assert shared.caller.call((1,), {}, 30) == 1


def test_a_thousand_connections_that_say_a_byte_and_stay_keep_nobody_out(serve):
    served = serve()
    client = served.client()
    crowd = []
    try:
        for _ in range(1000):
            crowd.append(socket.socket(socket.AF_UNIX))
            crowd[-1].connect(str(served.sockets / frames.SOCKET_NAME))
            crowd[-1].send(b"\x08")
            if len(crowd) % 100 == 0:
                np.testing.assert_array_equal(client.call((BIG,), {}, 30), BIG)
        assert server_files(served) < 300
    finally:
        for each in crowd:
            each.close()
    np.testing.assert_array_equal(client.call((BIG,), {}, 30), BIG)
    wait_until(lambda: server_files(served) < 50)


def test_a_call_on_a_connection_that_made_room_is_made_once(serve, connect):
    served = serve(IMPATIENT)
    client = served.client()
    for _ in range(3):
        client.call((10,), {}, 30)
        for _ in range(250):
            connect(served)
    client.call((10,), {}, 30)
    assert [line for line in served.log.splitlines() if line.startswith("call")] == [f"call {n}" for n in range(1, 5)]


def wanting(size: int) -> bytes:
    request = messages.ModelInferRequest(model_name="model0")
    request.inputs.add(name="size", datatype="INT64", shape=[])
    request.raw_input_contents.append(size.to_bytes(8, "little"))
    return request.SerializeToString()


@pytest.mark.parametrize("reads", [0, 1000], ids=["nothing", "a little now and then"])
def test_a_client_that_does_not_read_its_answer_is_given_up_when_others_wait(serve, connect, reads):
    served = serve(NO_MEMORY + IMPATIENT)
    served.client()
    peer, over = connect(served), threading.Event()
    peer.send(frames.INFER, wanting(50_000_000))

    def read():
        with contextlib.suppress(OSError):
            while not over.wait(0.05) and peer.socket.recv(reads):
                pass

    reader = threading.Thread(target=read)
    if reads:
        reader.start()
    time.sleep(1)
    assert "given up" not in served.log  # no other call waits yet
    assert served.client().call((10,), {}, 30).shape == (10,)
    served.wait_for_log("an answer that was not read within 0 s held up other calls: it was given up")
    over.set()
    if reads:
        reader.join()


def test_a_client_that_dies_in_the_middle_of_a_request_leaves_nothing(serve, connect):
    served = serve()
    client = served.client()
    client.call((BIG,), {})
    before = server_files(served)
    for _ in range(20):
        peer = connect(served)
        fd = memfd(1 << 20)
        peer.hand_over(fd, "mine")
        os.close(fd)
        peer.send(frames.INFER, b"x" * 100_000, length=1 << 30)
        peer.socket.close()
    wait_until(lambda: server_files(served) <= before)
    np.testing.assert_array_equal(client.call((BIG,), {}, 30), BIG)
    assert "connection was closed" not in served.log  # a client may leave


PAIR = """
import numpy as np
class Model:
    def load(self, device): pass
    def predict(self, a: np.ndarray, b: np.ndarray) -> float:
        return float(a.sum() * 1000 + b.sum())
"""


def test_three_hundred_arrays_of_a_client_are_mapped_in_turns(serve):
    served = serve(PAIR)
    client = served.client()
    arrays = [client.empty("a", (20_000,), "float32") for _ in range(300)]
    for number, array in enumerate(arrays):
        array[0] = number
    for number, array in enumerate(arrays):  # every call uses the first one, so it stays mapped
        assert client.call((arrays[0], array), {}, 30) == number
        assert client.call((array, arrays[0]), {}, 30) == number * 1000
    assert server_files(served) < 150
    del arrays, array
    client.call((np.zeros(1, np.float32), np.zeros(1, np.float32)), {}, 30)
    wait_until(lambda: server_files(served) < 40)


def test_a_server_that_is_out_of_descriptors_makes_room_and_says_so(serve, connect):
    served = serve()
    client = served.client()
    files = server_files(served) + 30
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (files, files))
    crowd = [connect(served) for _ in range(40)]
    served.wait_for_log("too many files are open: ")
    for _ in range(3):
        assert client.call((BIG,), {}, 30).sum() == BIG.sum()
    crowd[-1].send(frames.METADATA)
    assert crowd[-1].frame().kind == frames.ANSWER


def test_what_the_model_forks_does_not_keep_the_connections_of_a_server_that_died(serve):
    served = serve()
    client = served.client()
    client.call((BIG,), {"fork": 20.0})
    began = time.monotonic()
    with pytest.raises(ModelGone, match="does not answer"):
        client.call((BIG,), {"crash": "kill"}, 30)
    assert time.monotonic() - began < 10
