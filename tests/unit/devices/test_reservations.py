"""What is believed of the files in which users tell each other what their loads are about to take, and what is not."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from gpumodels.devices import reservations
from gpumodels.devices.reservations import Reservation, in_turn, release, reserve, standing, sweep
from gpumodels.lease import processes

UID = os.getuid()


@pytest.fixture
def place():
    """Stands for /dev/shm; see tests/conftest.py."""
    return reservations.PLACE


@pytest.fixture
def file(place):
    return place / f"gpumodels-{UID}.reserved"


def mine(token="a", devices=("GPU-1",), memory=5, seconds=60.0):
    return Reservation.of_this_process(token, devices, memory, seconds)


def row(**changes):
    """One that would be believed, as JSON."""
    ours = {"pid": os.getpid(), "started": processes.start_time(os.getpid()), "until": time.monotonic() + 60}
    return {"token": "a", "devices": ["GPU-1"], "memory": 5, **ours, **changes}


def test_all_users_can_read_what_is_reserved_until_it_is_released(file):
    reserve(mine("a"))
    reserve(mine("b"))
    assert [each.token for each in standing()] == ["a", "b"]
    assert file.stat().st_mode & 0o777 == 0o644
    release("a")
    assert [each.token for each in standing()] == ["b"]
    release("b")
    assert not file.exists()
    release("b")


def test_it_ends_with_its_time():
    reserve(mine(seconds=0.05))
    time.sleep(0.06)
    assert standing() == []


def test_it_ends_with_the_process_that_loads(place, puppet, file):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); r.reserve(r.Reservation.of_this_process('a', ['GPU-1'], 5, 60))")
    assert [each.pid for each in standing()] == [other.pid]
    other.kill()
    assert standing() == []
    reserve(mine("b"))
    assert '"a"' not in file.read_text()  # what is over is not carried on


def test_what_a_load_that_was_killed_leaves_is_swept(place, puppet, file):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); r.reserve(r.Reservation.of_this_process('a', ['GPU-1'], 5, 60))")
    sweep()
    assert file.exists()
    other.kill()
    sweep()
    assert not file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[" * 60_000,
        b"{}",
        b"[1]",
        json.dumps([row(devices="GPU-1")]).encode(),
        json.dumps([row(memory=-1)]).encode(),
        json.dumps([row(memory=1 << 60)]).encode(),
        json.dumps([row(until="soon")]).encode(),
        json.dumps([row(until=float("nan"))]).encode(),
        json.dumps([row(pid=0)]).encode(),
        json.dumps([row(token="a" * 65)]).encode(),
        json.dumps([row()] * 300).encode(),
        json.dumps([row()]).encode() + b" " * 70_000,
        json.dumps([row(until=0)]).encode(),
        json.dumps([row(started=1)]).encode(),  # the process has its number from another, which has ended
        json.dumps([row(pid=1 << 22)]).encode(),
    ],
)
def test_what_cannot_be_believed_is_not(file, content):
    file.write_bytes(content)
    assert standing() == []
    reserve(mine())
    assert len(standing()) == 1


@pytest.mark.parametrize("put", ["a link", "a pipe", "a directory"])
def test_what_is_no_plain_file_is_not_opened(file, put, tmp_path):
    if put == "a link":
        (tmp_path / "elsewhere").write_text(json.dumps([row()]))
        file.symlink_to(tmp_path / "elsewhere")
    elif put == "a pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    assert standing() == []
    reserve(mine())


@pytest.mark.root
def test_a_file_under_somebody_elses_name_is_not_believed(place):
    (place / "gpumodels-47110.reserved").write_text(json.dumps([row()]))
    assert standing() == []
    os.chown(place / "gpumodels-47110.reserved", 47110, 47110)
    assert len(standing()) == 1


def test_a_place_in_which_users_are_not_kept_apart_is_not_used(place, file):
    place.chmod(0o777)
    reserve(mine())
    assert not file.exists()
    assert standing() == []
    with in_turn():
        pass


def test_a_machine_without_such_a_place_does_without(monkeypatch, tmp_path):
    monkeypatch.setattr(reservations, "PLACE", tmp_path / "none")
    reserve(mine())
    with in_turn():
        assert standing() == []


def test_choosing_is_one_after_another(place, puppet):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); turn = r.in_turn(); turn.__enter__()")
    other.tell("import time; time.sleep(0.3); left = time.monotonic(); turn.__exit__(None, None, None)")
    with in_turn():
        entered = time.monotonic()
    other.answer()
    assert entered >= other.do("left")


def test_one_who_is_stopped_in_his_turn_is_not_waited_for(place, puppet):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); turn = r.in_turn(); turn.__enter__()")
    os.kill(other.pid, signal.SIGSTOP)
    with in_turn():
        assert other.process.poll() is None
