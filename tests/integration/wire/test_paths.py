"""Paths and permissions of the socket and the shared memory."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector, LocalSocket
from gpumodels.errors import CallError, LoadFailed, LoadTimeout, ModelGone
from gpumodels.protocol import files, frames
from tests.integration.wire.conftest import wait_until


def test_a_directory_of_150_characters_works(serve, tmp_path):
    place = tmp_path / ("d" * 150) / "x"
    served = serve(place=place)
    assert len(str(served.sockets)) > 150
    assert served.client().call(("far away",), {}) == "far away"


def test_only_its_owner_may_use_socket_and_memory(serve):
    served = serve()
    client = served.client(lane=False)
    client.call((np.zeros(100_000),), {})
    for name in (files.SOCKET_NAME, frames.SOCKET_NAME):
        assert stat.S_IMODE((served.sockets / name).stat().st_mode) == 0o600
    (region,) = served.shared_files()
    assert stat.S_IMODE((served.shm / region).stat().st_mode) == 0o600


def test_files_of_root_belong_to_the_directorys_owner(tmp_path):
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, owner, -1)
    directory = files.open_directory(tmp_path)
    os.close(files.create(directory, "in-file", 10))
    os.close(directory)
    assert (tmp_path / "in-file").stat().st_uid == owner


def test_two_clients_whose_descriptors_bear_one_number_reach_their_own_servers(serve, monkeypatch):
    first, second = serve("class Model:\n def load(self, d): pass\n def predict(self) -> int: return 1\n"), serve()
    before = first.client(lane=False)
    assert before.call((), {}) == 1
    before.close()
    old, number = before._transport._server, before._transport._server.fd
    old.fd = -1
    wait_until((second.sockets / files.SOCKET_NAME).exists)

    def bear_the_same_number(connector: LocalConnector, name: str) -> LocalSocket | None:
        found = find(connector, name)
        os.dup2(found.fd, number)  # this happens by itself if the old descriptor is closed first
        return LocalSocket(number)

    find = LocalConnector.find
    monkeypatch.setattr(LocalConnector, "find", bear_the_same_number)
    after = Client(LocalConnector(second.sockets, None), "echo", lane=False)
    after.wait_ready(time.monotonic() + 30, second.check_alive)
    assert after.call((2,), {}) == 2
    after.close()


def test_a_stale_socket_that_nobody_listens_on_is_waited_for(serve, tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / files.SOCKET_NAME))
    client = Client(LocalConnector(tmp_path, None), "echo")
    with pytest.raises(LoadTimeout):
        client.wait_ready(time.monotonic() + 0.1, lambda: None)
    with pytest.raises(CallError, match="still loading"):
        client.call((1,), {})
    client.close()


@pytest.mark.parametrize("name", [files.SOCKET_NAME, frames.SOCKET_NAME])
@pytest.mark.parametrize("put", ["a link", "a file", pytest.param("another user's socket", marks=pytest.mark.root)])
def test_what_is_no_socket_of_the_server_is_not_connected_to(serve, tmp_path, put, name):
    served, place = serve(), tmp_path / "sock"
    served.client()
    place.mkdir()
    false = place / name
    if put == "a link":
        false.symlink_to(served.sockets / name)
    elif put == "a file":
        false.touch()
    else:
        os.link(served.sockets / name, false)
        os.chown(false, 12345, -1)
    client = Client(LocalConnector(place, None), "echo")
    with pytest.raises(LoadFailed, match=rf"echo cannot be reached \({name} is not a socket of the model server"):
        client.wait_ready(time.monotonic() + 10, served.check_alive)
    client.close()


@pytest.mark.parametrize("name", [files.SOCKET_NAME, frames.SOCKET_NAME])
def test_the_client_stays_with_its_server_whatever_lies_in_the_sockets_place_later(serve, name):
    first, second = serve("class Model:\n def load(self, d): pass\n def predict(self) -> int: return 1\n"), serve()
    client = first.client(lane=name == frames.SOCKET_NAME)
    second.client()
    socket_file = first.sockets / name
    socket_file.unlink()
    socket_file.symlink_to(second.sockets / name)
    assert client.call((), {}) == 1
    first.process.kill()
    first.process.wait()
    for _ in range(3):  # a channel that lost its connection connects again
        with pytest.raises(ModelGone, match="does not answer"):
            client.call((), {})


@pytest.mark.parametrize("name", [files.SOCKET_NAME, frames.SOCKET_NAME])
def test_a_server_that_accepts_nobody_does_not_hold_up_the_wait(tmp_path, name):
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_UNIX) as first:
        deaf.bind(str(tmp_path / name))
        deaf.listen(0)
        first.connect(str(tmp_path / name))
        client = Client(LocalConnector(tmp_path, None), "deaf")
        with pytest.raises(LoadTimeout):
            client.wait_ready(time.monotonic() + 0.1, lambda: None)
        client.close()


def test_a_missing_place_is_named():
    with pytest.raises(FileNotFoundError, match="no-such-directory"):
        LocalConnector(Path("/no-such-directory"), None)


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "grpc"])
def test_descriptors_are_given_back(serve, lane):
    served = serve()
    served.client(lane=lane).call((np.zeros(100_000),), {})

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        client = Client(LocalConnector(served.sockets, served.shm), served.name, lane=lane)
        client.wait_ready(time.monotonic() + 10, served.check_alive)
        client.call((np.zeros(100_000),), {})
        client.close()
        del client
    wait_until(lambda: descriptors() <= before + 1)
