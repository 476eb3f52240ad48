"""Calls on a model server that misbehaves: one clear error is raised, and the connection and its memory are freed."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import threading
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager

import numpy as np
import pytest

from gpumodels.client import Client, Ticket
from gpumodels.engines.local import LocalConnector
from gpumodels.errors import CallError, CallTimeout, ModelCallError, ModelGone
from gpumodels.protocol import frames, messages
from tests.leftovers import descriptors, until
from tests.unit.client.liar import ARRAYS, STREAM, Liar, memfd, peak

MUCH = np.zeros(40_000, np.int64)  # 320 kB: in a region of its own


@pytest.fixture
def lying(tmp_path):
    """`lying(lie)` starts a server that sends its metadata and then runs `lie(peer)`. It returns client and server."""
    made = []

    def start(lie, *, signature=ARRAYS):
        liar = Liar(tmp_path, lie, signature)
        client = Client(LocalConnector(tmp_path, None), "liar")
        made.extend([liar.end, client.close])
        client.wait_ready(time.monotonic() + 10, lambda: None)
        return client, liar

    yield start
    for end in reversed(made):
        end()


def once(lie):
    """Run `lie(peer, request)` for the first request, and answer correctly from the second connection on."""

    def talk(peer):
        first = peer.number == 0
        while True:
            request = peer.request()
            if first:
                lie(peer, request)
                assert peer.socket.recv(1) == b"", "the client goes on with the connection"
                return
            peer.answer(request)

    return talk


def sends(kind, body=b"", *fds, **header):
    return lambda peer, _: peer.send(kind, body, *fds, **header)


def points(**point):
    """Answer with a value in a valid region, and with the parameters `point` in place of the correct ones."""

    def lie(peer, request):
        hand_over(peer, memfd(1 << 20))
        point_ = {"shared_memory_region": "out", "shared_memory_byte_size": 8, "shared_memory_offset": 0, **point}
        peer.answer(request, **point_)

    return lie


def hand_over(peer, fd):
    peer.hand_over(fd)
    os.close(fd)


def hands_over(open_it):
    return lambda peer, _: hand_over(peer, open_it())


def overlapping_outputs(peer, request):
    hand_over(peer, memfd(1 << 20))
    response = peer.response(request, shared_memory_region="out", shared_memory_byte_size=8)
    messages.set_parameters(response.outputs.add(name="b", datatype="INT64", shape=[1]), shared_memory_region="out")
    messages.set_parameters(response.outputs[1], shared_memory_byte_size=8)
    peer.send(frames.ANSWER, response.SerializeToString())


def many_descriptors(peer, request):
    for _ in range(20):
        with memory() as fd:
            peer.send(frames.REGION, b"", fd, length=1 << 20)  # the body never comes


def a_stray_descriptor(peer, request):
    with memory() as fd:
        peer.send(frames.ANSWER, peer.response(request).SerializeToString(), fd, descriptors=0)


@contextmanager
def memory():
    fd = memfd(1 << 16)
    try:
        yield fd
    finally:
        os.close(fd)


def with_another_header(**changes):
    def lie(peer, request):
        response = peer.response(request)
        for name, value in changes.items():
            if name == "shape":
                response.outputs[0].shape[:] = value
            elif name == "raw":
                response.raw_output_contents[:] = value
            else:
                setattr(response.outputs[0], name, value)
        peer.send(frames.ANSWER, response.SerializeToString())

    return lie


LIES = {
    "an unknown kind": (sends(99), "no frame begins with"),
    "a request": (sends(frames.INFER), "a frame of kind 2, not an answer"),
    "a question": (sends(frames.METADATA), "a frame of kind 1, not an answer"),
    "4 GiB": (sends(frames.ANSWER, length=(1 << 32) - 1), "no frame begins with"),
    "no protobuf": (sends(frames.ANSWER, b"\xff" * 100), "cannot be read"),
    "no protobuf of a part": (sends(frames.PART, b"\xff" * 100), "cannot be read"),
    "an empty answer": (sends(frames.ANSWER), "the answer of another call"),
    "a region without its descriptor": (sends(frames.REGION, descriptors=1), "without its descriptor"),
    "a region that announces none": (sends(frames.REGION, descriptors=0), "no frame begins with"),
    "a region that is a device": (hands_over(lambda: os.open("/dev/zero", os.O_RDWR)), "must be a memfd"),
    "a region that is a directory": (hands_over(lambda: os.open("/", os.O_RDONLY)), "must be a memfd"),
    "a region that is a file": (hands_over(lambda: os.open(__file__, os.O_RDONLY)), "cannot be mapped: Invalid"),
    "a region that may shrink": (hands_over(lambda: memfd(1 << 20, seals=0)), "sealed against shrinking"),
    "a region without its memory": (hands_over(lambda: memfd(1 << 40, whole=False)), "must have all its memory"),
    "a region without a byte": (hands_over(lambda: memfd(0, whole=False)), "must have all its memory"),
    "a region that is not for writing": (hands_over(lambda: memfd(1 << 16, seals=2 | 8)), "cannot be mapped"),
    "an unknown region": (points(shared_memory_region="other"), "has sent no region 'other'"),
    "an offset outside": (points(shared_memory_offset=1 << 20), "lie outside"),
    "an offset before": (points(shared_memory_offset=-8), "overlap"),
    "an end outside": (points(shared_memory_offset=(1 << 20) - 7), "lie outside"),
    "more than there is": (points(shared_memory_byte_size=1 << 40), "lie outside"),
    "less than nothing": (points(shared_memory_byte_size=-8), "lie outside"),
    "an offset that is text": (points(shared_memory_offset="0"), "not a range in a region"),
    "overlapping outputs": (overlapping_outputs, "two outputs overlap in their region"),
    "descriptors without end": (many_descriptors, "more descriptors came"),
    "a stray descriptor": (a_stray_descriptor, "a descriptor came that no frame announced"),
    "a huge shape": (with_another_header(shape=[1 << 60]), "cannot be read"),
    "a negative shape": (with_another_header(shape=[-1]), "cannot be read"),
    "an unknown datatype": (with_another_header(datatype="INT65"), "cannot be read"),
    "no content": (with_another_header(raw=[b"", b""]), "cannot be read"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_wrong_answer_is_one_error_and_ends_the_connection(lying, case):
    lie, message = LIES[case]
    client, liar = lying(once(lie))
    before, most = descriptors(), peak()
    with pytest.raises(CallError, match=message) as caught:
        client.call((MUCH,), {}, 10)
    assert type(caught.value) is CallError
    assert str(caught.value).count("\n") == 0
    del caught
    assert client.call((MUCH,), {}, 10).tolist() == np.frombuffer(b"12345678", np.int64).tolist()
    assert liar.connections == 2
    until(lambda: len(descriptors()) <= len(before) + 4)  # both ends of a connection, and its region, here twice
    assert peak() - most < 64 << 20


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"\xff" * 50, CallError, "cannot be read"),
        (b"", CallError, r"failed \(None\)"),
        (messages.ModelInferResponse(id="x").SerializeToString(), CallError, r"failed \(None\)"),
    ],
    ids=["no-protobuf", "empty", "no-code"],
)
def test_a_failure_without_a_reason_is_still_an_error(lying, body, error, message):
    def lie(peer):
        while True:
            peer.request()
            peer.send(frames.FAILED, body)

    client, _ = lying(lie)
    for _ in range(2):
        with pytest.raises(error, match=message):
            client.call((1,), {}, 10)


def test_an_end_without_an_answer_is_an_error(lying):
    client, _ = lying(lambda peer: peer.request() and peer.send(frames.END))
    with pytest.raises(CallError, match="gave no answer to a call"):
        client.call((1,), {}, 10)


def test_a_failure_brings_its_traceback(lying):
    def lie(peer):
        request = peer.request()
        failure = messages.ModelInferResponse(id=request.id)
        messages.set_parameters(failure, code="INTERNAL", message="no luck", traceback="here")
        peer.send(frames.FAILED, failure.SerializeToString())

    client, _ = lying(lie)
    with pytest.raises(ModelCallError, match="liar: no luck\n\nhere"):
        client.call((1,), {}, 10)


HALF = frames.header(1000, frames.ANSWER, 0) + b"x" * 500
CUT_SHORT = {
    "a header": HALF[:3],
    "a body": HALF,
    "2 GiB": frames.header((1 << 31) - 1, frames.ANSWER, 0) + b"x" * 500_000,
}


@pytest.mark.parametrize("what", CUT_SHORT)
def test_half_a_frame_and_then_the_end_is_model_gone(lying, what):
    def lie(peer):
        peer.request()
        peer.socket.sendall(CUT_SHORT[what])

    client, liar = lying(lie)
    most = peak()
    with pytest.raises(ModelGone, match="does not answer"):
        client.call((MUCH,), {}, 10)
    assert liar.connections == 1, "the call may have begun: it is not repeated"
    assert peak() - most < 64 << 20


@pytest.mark.parametrize("what", CUT_SHORT)
def test_half_a_frame_and_then_silence_is_a_timeout(lying, what):
    left = threading.Event()

    def lie(peer):
        peer.request()
        peer.socket.sendall(CUT_SHORT[what])
        assert peer.socket.recv(1) == b""
        left.set()

    client, _ = lying(lie)
    with pytest.raises(CallTimeout, match=r"within 0\.3 s"):
        client.call((MUCH,), {}, 0.3)
    assert left.wait(10)


def test_a_byte_now_and_then_does_not_stretch_the_timeout(lying):
    def lie(peer):
        peer.request()
        for byte in HALF * 10:
            peer.socket.sendall(bytes([byte]))
            time.sleep(0.05)

    client, _ = lying(lie)
    began = time.monotonic()
    with pytest.raises(CallTimeout):
        client.call((1,), {}, 0.3)
    assert time.monotonic() - began < 5


def parts_for_ever(peer):
    request = peer.request()
    while True:
        peer.answer(request, frames.PART)


def test_parts_of_a_model_that_does_not_stream_are_refused(lying):
    client, liar = lying(parts_for_ever)
    with pytest.raises(CallError, match="gave several answers to a call") as caught:
        client.call((1,), {}, 10)
    until(lambda: not liar.talking)  # although a reference to the error remains, as in a notebook
    assert caught


def test_a_stream_without_end_takes_no_memory_and_ends_when_it_is_left(lying):
    client, liar = lying(parts_for_ever, signature=STREAM)
    answers = client.stream((1,), {}, 60)
    most = peak()
    for _, _ in zip(range(20_000), answers, strict=False):
        pass
    assert peak() - most < 16 << 20
    del answers
    until(lambda: not liar.talking)


def test_a_stream_without_end_ends_with_its_timeout(lying):
    client, liar = lying(parts_for_ever, signature=STREAM)
    with pytest.raises(CallTimeout):
        for _ in client.stream((1,), {}, 0.2):
            pass
    until(lambda: not liar.talking)


def test_an_answer_without_a_request_is_not_given_to_the_next_call(lying):
    def lie(peer):
        while True:
            request = peer.request()
            peer.answer(request)
            if peer.number == 0:
                peer.answer(request, data=b"not me!!")

    client, liar = lying(lie)
    first = client.call((1,), {}, 10)
    with pytest.raises(CallError, match="the answer of another call"):
        client.call((2,), {}, 10)
    assert client.call((3,), {}, 10).tolist() == first.tolist()
    assert liar.connections == 2


def closes_unread(peer):
    select.select([peer.socket], [], [])


def closes_half_read(peer):
    select.select([peer.socket], [], [])
    peer.socket.recv(10)


@pytest.mark.parametrize("closes", [closes_unread, closes_half_read])
@pytest.mark.parametrize("value", [1, MUCH, b"x" * 60_000], ids=["small", "region", "large"])
def test_a_request_that_was_not_read_whole_is_sent_once_more(lying, closes, value):
    def lie(peer):
        if peer.number == 0:
            return closes(peer)
        while True:
            peer.answer(peer.request())

    client, liar = lying(lie)
    assert client.call((value,), {}, 10).shape == (1,)
    assert liar.connections == 2


@pytest.mark.parametrize("closes", [closes_unread, closes_half_read])
def test_a_request_that_was_not_read_is_sent_again_only_once(lying, closes):
    client, liar = lying(closes)
    with pytest.raises(ModelGone, match="does not answer"):
        client.call((MUCH,), {}, 10)
    until(lambda: not liar.talking)
    assert liar.connections == 2


def test_a_request_that_was_read_is_never_repeated(lying):
    client, liar = lying(lambda peer: peer.request())
    with pytest.raises(ModelGone, match="does not answer"):
        client.call((MUCH,), {}, 10)
    assert liar.connections == 1


def test_connections_that_the_server_closed_while_they_were_idle_lose_no_call(lying):
    together, over = threading.Barrier(4), threading.Event()

    def lie(peer):
        for _ in range(1 if peer.number < 4 else 1000):
            request = peer.request()
            if peer.number < 4:
                together.wait(10)
            peer.answer(request)
        if peer.number < 4:
            over.wait(10)

    client, liar = lying(lie)
    callers = [threading.Thread(target=client.call, args=((1,), {}, 10)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    over.set()
    until(lambda: liar.talking <= 0)
    assert client.call((1,), {}, 10).shape == (1,)


def test_a_server_that_reads_nothing_holds_up_no_longer_than_the_timeout(lying, monkeypatch):
    client, liar = lying(lambda peer: peer.socket.recv(1, socket.MSG_PEEK) and left.wait(10))
    left = threading.Event()
    monkeypatch.setattr(os, "memfd_create", no_memory)  # then the whole input goes through the socket
    with pytest.raises(CallTimeout):
        client.call((np.zeros(1_000_000),), {}, 0.2)
    left.set()
    assert liar.connections == 1


def no_memory(*_):
    raise OSError(errno.ENOSPC, "no memory")


def test_a_ticket_ends_a_call_with_half_an_answer(lying):
    ticket, began = Ticket(), threading.Event()

    def lie(peer):
        peer.request()
        peer.socket.sendall(HALF)
        began.set()
        peer.socket.recv(1)

    client, _ = lying(lie)
    threading.Thread(target=lambda: began.wait(10) and ticket.end()).start()
    with pytest.raises(CancelledError):
        client.call((MUCH,), {}, 10, ticket=ticket)


@pytest.mark.parametrize("body", [b"\xff" * 20, b"\x0a\x02ab"], ids=["no-protobuf", "no-signature"])
def test_the_metadata_of_the_server_is_checked(tmp_path, body):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / frames.SOCKET_NAME))
    listener.listen()
    client = Client(LocalConnector(tmp_path, None), "liar")

    def talk():
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            with connected:
                if connected.recv(1000):
                    connected.sendall(frames.header(len(body), frames.ANSWER, 0) + body)
                    connected.recv(1)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        if body[0] == 0xFF:
            with pytest.raises(CallError, match="the model server of liar sent data that cannot be read"):
                client.wait_ready(time.monotonic() + 10, lambda: None)
        else:
            client.wait_ready(time.monotonic() + 10, lambda: None)
            assert client.signature().inputs == ()
    finally:
        client.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        talker.join(10)


def test_too_many_open_files_in_this_process_are_named_as_the_cause(lying):
    client, _ = lying(parts_for_ever, signature=STREAM)
    busy = client.stream((1,), {}, 60)
    next(busy)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(CallError, match="liar cannot be called: Too many open files in this process"):
            client.call((1,), {}, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert next(busy).shape == (1,)
