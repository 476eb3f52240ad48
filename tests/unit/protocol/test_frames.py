from __future__ import annotations

import os
import socket

import pytest

from gpumodels.protocol.frames import ANSWER, FORGET, INFER, PART, REGION, FrameError, Frames, header
from tests.leftovers import descriptors


@pytest.fixture
def ends():
    """A socket to write to, and the frames at the other end of the connection."""
    left, right = socket.socketpair()
    read = Frames(right)
    yield left, read
    left.close()
    read.close()


def send(end, kind, body=b"", *fds):
    Frames(end).send(header(len(body), kind, len(fds)) + body, fds)


def next_frame(read):
    while (frame := read.next()) is None:
        read.fill()
    return frame


@pytest.mark.parametrize("size", [1, 7, 8, 9, 999, 100_000])
def test_frames_come_as_they_were_sent_however_they_are_cut(ends, size):
    end, read = ends
    sent = [(INFER, b""), (ANSWER, b"x" * 1000), (PART, b"y"), (FORGET, b"z" * 80 * size)]
    data = b"".join(header(len(body), kind, 0) + body for kind, body in sent)
    got = []
    for start in range(0, len(data), size):
        end.sendall(data[start : start + size])
        read.fill()
        while (frame := read.next()) is not None:
            got.append((frame.kind, frame.body))
    assert got == sent


def test_many_frames_cut_at_any_byte_take_no_memory(ends):
    end, read = ends
    frame = header(1000, PART, 0) + b"x" * 1000
    stream = frame * 200
    sent, seen = 0, 0
    while seen < 20_000:
        end.sendall(stream[sent % len(frame) :][:50_001])
        sent += 50_001
        read.fill()
        while read.next() is not None:
            seen += 1
        assert len(read._data) < 300_000


def test_a_descriptor_comes_with_its_frame_and_belongs_to_the_receiver(ends):
    end, read = ends
    before = descriptors("pipe:")
    mine, other = os.pipe()
    send(end, FORGET, b"first")
    send(end, REGION, b"a", mine)
    send(end, REGION, b"b", other)
    assert next_frame(read).fd == -1
    for body, sent in ((b"a", mine), (b"b", other)):
        frame = next_frame(read)
        assert frame.body == body
        assert os.path.sameopenfile(frame.fd, sent)
        assert not os.get_inheritable(frame.fd)
        os.close(frame.fd)
    os.close(mine)
    os.close(other)
    assert not descriptors("pipe:") - before


@pytest.mark.parametrize(
    "data", [b"\x00" * 8, header(0, 99, 0), header(1 << 31, INFER, 0), header(0, INFER, 1), header(0, REGION, 0)]
)
def test_a_wrong_header_is_refused_before_its_body_comes(ends, data):
    end, read = ends
    end.sendall(data)
    read.fill()
    with pytest.raises(FrameError, match="no frame begins with"):
        read.next()


def test_descriptors_that_nobody_took_are_closed_with_the_connection():
    before = descriptors("pipe:")
    left, right = socket.socketpair()
    read = Frames(right)
    mine, other = os.pipe()
    Frames(left).send(header(1000, REGION, 1) + b"half", (mine,))
    read.fill()
    assert read.next() is None
    read.close()
    left.close()
    os.close(mine)
    os.close(other)
    assert not descriptors("pipe:") - before


def test_the_end_of_the_stream_raises(ends):
    end, read = ends
    end.sendall(header(10, INFER, 0) + b"half")
    end.shutdown(socket.SHUT_WR)
    read.fill()
    assert read.next() is None
    with pytest.raises(EOFError):
        read.fill()
