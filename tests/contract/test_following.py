"""Following the log of an instance: lines that it has printed, and new ones until it ends."""

from __future__ import annotations

import queue
import threading

import pytest

from gpumodels.engines import following
from tests.leftovers import until

ENGINES = ["docker", "process"]


@pytest.fixture(params=ENGINES)
def engine_name(request):
    return request.param


def follow(instance, lines=40):
    """Follow the log in a thread. Return a queue with its lines, and None at the end."""
    followed = queue.Queue()

    def run():
        for line in instance.follow(lines):
            followed.put(line)
        followed.put(None)

    threading.Thread(target=run, daemon=True).start()
    return followed


def test_old_and_new_lines_are_followed_until_the_end(start):
    started = start()
    started.call(1)
    followed = follow(started.instance)
    assert followed.get(timeout=10) == "echo: load on cpu"
    started.lease.release()
    rest = list(iter(lambda: followed.get(timeout=20), None))
    assert rest == started.instance.logs().splitlines()[1:]


def test_following_begins_with_as_many_lines_as_were_asked_for(start):
    started = start()
    started.call(1)
    followed = follow(started.instance, lines=0)
    started.lease.release()
    assert "echo: load on cpu" not in list(iter(lambda: followed.get(timeout=20), None))


def test_an_instance_that_is_gone_prints_nothing(start):
    started = start()
    started.lease.release()
    started.wait()
    started.instance.remove()
    started.directory.remove()
    assert list(started.instance.follow()) == []


def test_a_log_that_was_full_is_read_to_its_end_and_then_the_new_one(tmp_path):
    log, read, ended = tmp_path / "log", [], threading.Event()
    log.write_text("skipped\nfirst\nhalf")

    def run():
        read.extend(following.lines(following.chunks(log, 8, ended.is_set)))

    reader = threading.Thread(target=run)
    reader.start()
    until(lambda: read)
    with log.open("a") as writing:
        writing.write(" whole\nlast of the old\n")
        log.rename(tmp_path / "log.1")
        (tmp_path / "new").write_text("first of the new\nno newline")
        (tmp_path / "new").rename(log)
    ended.set()
    reader.join(10)
    assert read == ["first", "half whole", "last of the old", "first of the new", "no newline"]


def test_lines_are_complete_wherever_chunks_are_cut():
    assert list(following.lines([b"a", b"b\nc\n\nd", b"\xc3", b"\xa9"])) == ["ab", "c", "", "dé"]
