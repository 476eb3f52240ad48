"""Loads of different users at the same moment: they take different memory, and no user can block another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from gpumodels import devices
from gpumodels.devices import reservations
from tests.fakes.nvml import GB, gpu, library, machine
from tests.integration.docker.users import UID as STRANGER
from tests.integration.docker.users import switch
from tests.leftovers import ROOT

pytestmark = pytest.mark.root

CROWD = Path(__file__).with_name("crowd.py")
_BECOME_STRANGER = f"import fcntl, os; os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})"


@pytest.fixture
def shared():
    """A directory that all users can reach, like /dev/shm; pytest's own directories are for one user."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o1777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def crowd(shared):
    """A function `crowd(count, uid)` that starts a crowd of processes, which place instances; see crowd.py."""
    shutil.copy(library(), shared)
    folder = shared / "teller"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "teller"\nmemory = "15 GB"\n')
    (folder / "model.py").write_text("class Model: ...\n")
    started = []

    def start(count, uid):
        runtime = shared / f"run-{uid}"
        runtime.mkdir(mode=0o700)
        os.chown(runtime, uid, uid)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(runtime),
            "XDG_STATE_HOME": str(runtime),
            "XDG_CONFIG_HOME": str(runtime),
            "GPUMODELS_RUNTIME_DIR": str(runtime / "models"),
            "LD_LIBRARY_PATH": str(shared),
            "FAKE_NVML_MACHINE": str(shared / "machine.json"),
        }
        process = subprocess.Popen(
            [*(switch() if uid else ()), sys.executable, CROWD, shared, folder, str(count)],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_forty_loads_of_two_users_at_once_fill_eight_gpus_evenly(crowd, shared):
    machine(shared / "machine.json", *(gpu(memory=80 * GB) for _ in range(8)))
    users = [crowd(20, 0), crowd(20, STRANGER)]
    for user in users:
        assert user.stdout.readline() == "ready\n"
    (shared / "go").touch()
    chosen = [[user.stdout.readline().strip() for _ in range(20)] for user in users]
    assert Counter(chosen[0] + chosen[1]) == {
        str(index): 5 for index in range(8)
    }  # 15 GB each, so a GPU has no room for a sixth
    for uid in (0, STRANGER):
        file = shared / f"gpumodels-{uid}.reserved"
        assert file.stat().st_uid == uid
        assert "teller" not in file.read_text()


def test_a_process_that_is_stopped_while_it_chooses_does_not_block_other_users(shared, puppet, monkeypatch):
    monkeypatch.setattr(reservations, "PLACE", shared)
    stranger = puppet()
    stranger.do(_BECOME_STRANGER)
    stranger.do(f"lock = os.open({str(shared)!r}, os.O_RDONLY); fcntl.flock(lock, fcntl.LOCK_EX)")
    os.kill(stranger.pid, signal.SIGSTOP)
    with reservations.in_turn():
        assert Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_another_users_reservation_moves_auto_and_refuses_nothing(build, load, folder, shared, puppet, monkeypatch):
    monkeypatch.setattr(reservations, "PLACE", shared)
    build(gpu(memory=80 * GB), gpu(memory=80 * GB))
    uuids = [each.uuid for each in devices.devices()]
    stranger = puppet()
    stranger.do("from pathlib import Path; from gpumodels.devices import reservations as r")
    stranger.do(f"{_BECOME_STRANGER}; r.PLACE = Path({str(shared)!r})")
    stranger.do(f"r.reserve(r.Reservation.of_this_process('a', {uuids[:1]}, {70 * GB}, 60))")
    assert load(folder(memory="50 GB")).record.device == "GPU 1"
    stranger.do(f"r.reserve(r.Reservation.of_this_process('b', {uuids}, {1000 * GB}, 60))")
    assert load(folder("second", memory="50 GB"), gpu=0).record.device == "GPU 0"
    assert load(folder("third", memory="50 GB")).alive
