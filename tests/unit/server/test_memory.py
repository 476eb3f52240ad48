from __future__ import annotations

import fcntl
import threading

import pytest

from gpumodels.protocol import files
from gpumodels.server.memory import RegionError, SharedMemory


def test_a_view_stays_valid_after_its_region_is_unregistered(tmp_path):
    (tmp_path / "mine").write_bytes(b"12345678")
    shared = SharedMemory(str(tmp_path))
    shared.register("r", "mine", 2, 6)
    view = shared.view("r", 1, 4)
    shared.unregister("r")
    assert bytes(view) == b"4567"
    view[0] = ord("x")
    assert (tmp_path / "mine").read_bytes() == b"123x5678"


@pytest.mark.parametrize(("offset", "size"), [(0, 7), (7, 0), (-1, 2), (0, -1), (1 << 62, 1 << 62)])
def test_bytes_outside_of_a_region_are_refused(tmp_path, offset, size):
    (tmp_path / "mine").write_bytes(b"12345678")
    shared = SharedMemory(str(tmp_path))
    shared.register("r", "mine", 2, 6)
    with pytest.raises(RegionError, match="outside"):
        shared.view("r", offset, size)


def test_without_a_directory_nothing_is_shared():
    shared = SharedMemory("")
    with pytest.raises(RegionError):
        shared.register("r", "mine", 0, 1)


def test_a_region_can_be_unregistered_while_orphans_are_dropped(tmp_path, monkeypatch):
    names = [files.new_name(), files.new_name()]
    shared = SharedMemory(str(tmp_path))
    owners = []
    for name in names:
        owners.append((tmp_path / name).open("wb"))
        owners[-1].write(b"1234")
        owners[-1].flush()
        fcntl.flock(owners[-1], fcntl.LOCK_SH)
        shared.register(name, name, 0, 4)
    flock, others = fcntl.flock, []

    def unregister_meanwhile(fd: int, how: int) -> None:
        if not others:
            others.append(threading.Thread(target=shared.unregister, args=("",)))
            others[0].start()
            others[0].join(0.2)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", unregister_meanwhile)
    (tmp_path / "new").write_bytes(b"1234")
    shared.register("new", "new", 0, 4)
    others[0].join()
    for owner in owners:
        owner.close()
