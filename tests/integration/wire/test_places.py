"""Where the socket and the shared memory lie, and who may use them."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from gpumodels.client import Client
from gpumodels.errors import CallError, LoadTimeout
from gpumodels.protocol import files


def test_a_directory_of_150_characters_works(serve, tmp_path):
    place = tmp_path / ("d" * 150) / "x"
    served = serve(place=place)
    assert len(str(served.sockets)) > 150
    assert served.client().call(("far away",), {}) == "far away"


def test_only_its_owner_may_use_socket_and_memory(serve):
    served = serve()
    client = served.client()
    client.call((np.zeros(100_000),), {})
    assert stat.S_IMODE((served.sockets / files.SOCKET_NAME).stat().st_mode) == 0o600
    (region,) = served.shared_files()
    assert stat.S_IMODE((served.shm / region).stat().st_mode) == 0o600


def test_files_of_root_belong_to_the_directorys_owner(tmp_path):
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, owner, -1)
    directory = files.open_directory(tmp_path)
    os.close(files.create(directory, "in-file", 10))
    os.close(directory)
    assert (tmp_path / "in-file").stat().st_uid == owner


def test_two_clients_whose_descriptors_bear_one_number_reach_their_own_servers(serve):
    first, second = serve("class Model:\n def load(self, d): pass\n def predict(self) -> int: return 1\n"), serve()
    before = first.client()
    assert before.call((), {}) == 1
    before.close()
    old, number = before._connection._directory, before._connection._directory.fd
    old.fd = -1
    after = Client(second.sockets, None, "echo")
    new = after._connection._directory
    os.dup2(new.fd, number)  # what happens by itself when the old one is closed first
    os.close(new.fd)
    new.fd = number
    after.wait_ready(time.monotonic() + 30, second.check_alive)
    assert after.call((2,), {}) == 2
    after.close()


def test_a_stale_socket_that_nobody_listens_on_is_waited_for(serve, tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / files.SOCKET_NAME))
    client = Client(tmp_path, None, "echo")
    with pytest.raises(LoadTimeout):
        client.wait_ready(time.monotonic() + 0.1, lambda: None)
    with pytest.raises(CallError, match="still loading"):
        client.call((1,), {})
    client.close()


def test_a_missing_place_is_named():
    with pytest.raises(FileNotFoundError, match="no-such-directory"):
        Client("/no-such-directory", None, "echo")


def test_descriptors_are_given_back(serve):
    served = serve()
    served.client().call((np.zeros(100_000),), {})

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        client = Client(served.sockets, served.shm, served.name)
        client.wait_ready(time.monotonic() + 10, served.check_alive)
        client.call((np.zeros(100_000),), {})
        client.close()
        del client
    assert descriptors() <= before + 1
