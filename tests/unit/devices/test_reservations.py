"""Reservations: other users' files are read with care, and a reservation ends with its load."""

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
    """The directory that stands for /dev/shm; see tests/conftest.py."""
    return reservations.PLACE


@pytest.fixture
def file(place):
    return place / f"gpumodels-{UID}.reserved"


def own(token="a", devices=("GPU-1",), memory=5, seconds=60.0):
    return Reservation.of_this_process(token, devices, memory, seconds)


def entry(**changes):
    """Return a valid reservation as JSON, with `changes`."""
    ours = {"pid": os.getpid(), "started": processes.start_time(os.getpid()), "until": time.monotonic() + 60}
    return {"token": "a", "devices": ["GPU-1"], "memory": 5, **ours, **changes}


def test_all_users_can_read_what_is_reserved_until_it_is_released(file):
    reserve(own("a"))
    reserve(own("b"))
    assert [each.token for each in standing()] == ["a", "b"]
    assert file.stat().st_mode & 0o777 == 0o644
    release("a")
    assert [each.token for each in standing()] == ["b"]
    release("b")
    assert not file.exists()
    release("b")


def test_a_reservation_ends_with_its_time():
    reserve(own(seconds=0.05))
    time.sleep(0.06)
    assert standing() == []


def test_a_reservation_ends_with_the_process_that_loads(place, puppet, file):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); r.reserve(r.Reservation.of_this_process('a', ['GPU-1'], 5, 60))")
    assert [each.pid for each in standing()] == [other.pid]
    other.kill()
    assert standing() == []
    reserve(own("b"))
    assert '"a"' not in file.read_text()  # the reservation that has ended is not written again


def test_a_reservation_of_a_killed_load_is_swept(place, puppet, file):
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
        json.dumps([entry(devices="GPU-1")]).encode(),
        json.dumps([entry(memory=-1)]).encode(),
        json.dumps([entry(memory=1 << 60)]).encode(),
        json.dumps([entry(until="soon")]).encode(),
        json.dumps([entry(until=float("nan"))]).encode(),
        json.dumps([entry(pid=0)]).encode(),
        json.dumps([entry(token="a" * 65)]).encode(),
        json.dumps([entry()] * 300).encode(),
        json.dumps([entry()]).encode() + b" " * 70_000,
        json.dumps([entry(until=0)]).encode(),
        json.dumps([entry(started=1)]).encode(),  # the process has a reused process id
        json.dumps([entry(pid=1 << 22)]).encode(),
    ],
)
def test_an_invalid_file_is_ignored(file, content):
    file.write_bytes(content)
    assert standing() == []
    reserve(own())
    assert len(standing()) == 1


@pytest.mark.parametrize("put", ["a link", "a pipe", "a directory"])
def test_only_regular_files_are_read(file, put, tmp_path):
    if put == "a link":
        (tmp_path / "elsewhere").write_text(json.dumps([entry()]))
        file.symlink_to(tmp_path / "elsewhere")
    elif put == "a pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    assert standing() == []
    reserve(own())


@pytest.mark.root
def test_a_file_in_the_name_of_another_user_is_ignored(place):
    (place / "gpumodels-47110.reserved").write_text(json.dumps([entry()]))
    assert standing() == []
    os.chown(place / "gpumodels-47110.reserved", 47110, 47110)
    assert len(standing()) == 1


def test_a_directory_without_the_sticky_bit_is_not_used(place, file):
    place.chmod(0o777)
    reserve(own())
    assert not file.exists()
    assert standing() == []
    with in_turn():
        pass


def test_without_the_directory_nothing_is_reserved(monkeypatch, tmp_path):
    monkeypatch.setattr(reservations, "PLACE", tmp_path / "none")
    reserve(own())
    with in_turn():
        assert standing() == []


def test_processes_choose_one_after_another(place, puppet):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); turn = r.in_turn(); turn.__enter__()")
    other.tell("import time; time.sleep(0.3); left = time.monotonic(); turn.__exit__(None, None, None)")
    with in_turn():
        entered = time.monotonic()
    other.answer()
    assert entered >= other.do("left")


def test_a_process_that_is_stopped_in_its_turn_delays_nobody_for_long(place, puppet):
    other = puppet()
    other.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    other.do(f"r.PLACE = Path({str(place)!r}); turn = r.in_turn(); turn.__enter__()")
    os.kill(other.pid, signal.SIGSTOP)
    with in_turn():
        assert other.process.poll() is None
