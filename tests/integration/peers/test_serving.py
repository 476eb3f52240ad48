"""The option `serve`: allowed addresses, and ends that leave nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
from pathlib import Path

import docker
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import gpumodels
from gpumodels.errors import LoadCancelled, LoadFailed, LoadRefused
from gpumodels.lease import processes
from gpumodels.loading.serving import Listener
from tests.integration.peers.conftest import forwarders, value
from tests.leftovers import until

THIEF = """
import os, sys
class Model:
    def load(self, device):
        path = sys.argv[sys.argv.index("--socket") + 1] + "/peers.sock"
        os.unlink(path)
        {deed}
    def predict(self, value): return value
"""
THIEF_TOML = """
name = "thief"
summary = "Removes its own socket"
licence = "BSD-3-Clause"
entry = "model:Model"
requirements = ["numpy"]
"""


def load(serve="127.0.0.1:0", engine="fake", **options):
    return gpumodels.load("echo", gpu="none", engine=engine, serve=serve, **options)


def answers(model):
    """Return True if the model answers tritonclient."""
    with triton.InferenceServerClient(model.endpoint.address) as client:
        client.register_plugin(model.endpoint)
        return client.infer("echo", [value(np.ones(1), "FP64")]).as_numpy("value").tolist() == [1]


def container(model):
    """Return the output of `docker inspect` for the model's container."""
    with contextlib.closing(docker.from_env()) as client:
        return client.containers.get(f"gpumodels-{model.record.id}").attrs


@pytest.fixture
def taken():
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    "address",
    ["", "8001", ":8001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", 8001, b"x"],
)
def test_a_malformed_address_is_refused_with_an_example(address, leftovers):
    with pytest.raises(
        LoadRefused, match=re.escape(f"echo: serve must be HOST:PORT such as '127.0.0.1:8001', not {address!r}.")
    ):
        load(address)
    assert not leftovers()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "[::]", "[fe80::1]", "*", "localhost.evil"])
def test_an_address_that_other_machines_could_reach_is_refused_with_the_reason(host, leftovers):
    with pytest.raises(
        LoadRefused, match=re.escape(f"echo: it cannot be served at {host}: calls and token would cross")
    ):
        load(f"{host}:8001")
    assert not leftovers()


def test_a_port_in_use_is_refused_before_anything_starts(taken, leftovers):
    with pytest.raises(LoadRefused, match=rf"echo cannot be served at 127.0.0.1:{taken}: it is in use already"):
        load(f"127.0.0.1:{taken}")
    assert not leftovers()


@pytest.mark.parametrize(
    ("host", "shown"), [("localhost", "127.0.0.1"), ("127.0.0.7", "127.0.0.7"), ("[::1]", "[::1]")]
)
def test_every_loopback_address_is_allowed(host, shown):
    with load(f"{host}:0") as model:
        assert model.endpoint.address.startswith(f"{shown}:")
        assert answers(model)


def test_the_same_request_keeps_the_model_and_another_address_replaces_it():
    model = load()
    assert load(in_place_of=model) is model
    port = model.endpoint.address.rpartition(":")[2]
    moved = load(f"127.0.0.1:{port}", in_place_of=model)  # the replaced model releases this address
    assert moved is not model
    assert moved.endpoint.address == model.endpoint.address
    assert moved.endpoint.token != model.endpoint.token
    assert answers(moved)
    alone = load(None, in_place_of=moved)
    assert alone.endpoint is None
    assert not moved.endpoint.alive
    assert alone(3) == 3


def test_stopping_frees_the_address_at_once():
    model = load()
    address = model.endpoint.address
    for _ in range(5):
        model.stop()
        model = load(address)
    assert answers(model)


def test_a_load_that_fails_leaves_the_address_free():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LoadFailed, match="told to fail"):
        load(f"127.0.0.1:{port}", env={"ECHO_LOAD": "fail"})
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.root
def test_a_port_that_this_user_may_not_take_is_refused_with_the_reason():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65532)
        try:
            Listener("echo", "127.0.0.1:1").open()
        except LoadRefused as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading, encoding="utf-8") as message:  # noqa: PTH123
        assert message.read() == (
            "echo cannot be served at 127.0.0.1:1: this user may not take that port; name one above 1023, or 0 for a "
            "free one."
        )


def test_a_load_that_is_interrupted_leaves_the_address_free(runtime_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    interrupt = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])
    interrupt.start()
    with pytest.raises(LoadCancelled):
        load(f"127.0.0.1:{port}", env={"ECHO_LOAD": "sleep:60"})
    interrupt.join()
    assert not forwarders(runtime_path)
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("", "FileNotFoundError"),
        ("os.symlink('/run/docker.sock', path)", "peers.sock is not a socket of the model server"),
    ],
)
def test_a_model_that_removes_its_peers_socket_is_not_served(deed, reason, tmp_path, runtime_path):
    (tmp_path / "thief").mkdir()
    (tmp_path / "thief" / "model.py").write_text(THIEF.format(deed=deed))
    (tmp_path / "thief" / "model.toml").write_text(THIEF_TOML)
    with pytest.raises(LoadFailed, match=f"thief was loaded, but it cannot be served at 127.0.0.1:.*{reason}"):
        gpumodels.load(tmp_path / "thief", gpu="none", engine="fake", serve="127.0.0.1:0")
    assert not gpumodels.running()
    assert not forwarders(runtime_path)


@pytest.mark.parametrize("engine", ["docker", "process"])
def test_the_forwarder_ends_when_the_model_server_is_killed(engine, runtime_path):
    model = load(engine=engine)
    assert answers(model)
    assert len(forwarders(runtime_path)) == 1
    (server,) = [
        pid for pid in processes.of_instance(model.record.id)
        if b"gpumodels.server" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]
    ]  # fmt: skip
    os.kill(server, signal.SIGKILL)
    until(lambda: not forwarders(runtime_path))
    until(lambda: not model.endpoint.alive)


@pytest.mark.parametrize("engine", ["docker", "process"])
def test_the_forwarder_ends_when_the_notebook_is_killed(engine, runtime_path, puppet, leftovers):
    notebook = puppet(env={"GPUMODELS_RUNTIME_DIR": str(runtime_path)})
    notebook.do("import gpumodels")
    notebook.do(f"model = gpumodels.load('echo', gpu='none', engine={engine!r}, serve='127.0.0.1:0')")
    assert len(forwarders(runtime_path)) == 1
    notebook.kill()
    until(lambda: not forwarders(runtime_path))
    leftovers.wait(within=20)


@pytest.mark.parametrize("engine", ["docker", "process"])
def test_a_forwarder_that_hangs_is_removed_with_the_model(engine, runtime_path):
    model = load(engine=engine)
    (forwarder,) = forwarders(runtime_path)
    os.kill(forwarder, signal.SIGSTOP)
    model.stop()
    assert not forwarders(runtime_path)


def test_a_model_with_a_killed_forwarder_answers_its_notebook_and_can_be_loaded_again(runtime_path):
    model = load()
    assert "register_plugin(model.endpoint)" in repr(model.endpoint)
    (forwarder,) = forwarders(runtime_path)
    os.kill(forwarder, signal.SIGKILL)
    until(lambda: not model.endpoint.alive)
    assert model(3) == 3
    assert "nobody answers there any more; load the model again" in repr(model.endpoint)
    again = load(in_place_of=model)
    assert answers(again)


def test_a_forked_child_leaves_the_address_to_its_parent():
    model = load()
    child = os.fork()
    if child == 0:
        os._exit(0 if model.endpoint.alive else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answers(model)


@pytest.mark.parametrize("engine", ["docker"])
def test_the_token_is_nowhere_but_in_the_endpoint(engine, runtime_path):
    model = load(engine=engine)
    token = model.endpoint.token
    assert len(token) >= 32
    with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
        triton.InferenceServerClient(model.endpoint.address).is_server_live()
    assert answers(model)
    assert token not in repr(model.endpoint)
    assert token not in repr(model)
    assert token not in model.logs()
    for file in runtime_path.rglob("*"):
        if file.is_file() and file.name != "lease":
            assert token not in file.read_text(errors="replace"), file
    for pid in Path("/proc").iterdir():
        if pid.name.isdigit() and (pid / "cmdline").exists():
            assert token.encode() not in (pid / "cmdline").read_bytes()
    described = container(model)
    assert token not in str(described["Config"]["Labels"])
    assert token not in str(described["Config"]["Cmd"])


@pytest.mark.parametrize("engine", ["docker"])
def test_a_model_that_is_not_served_does_not_see_the_machines_shared_memory(engine):
    model = gpumodels.load("echo", gpu="none", engine=engine)
    assert model.endpoint is None
    described = container(model)
    assert "/dev/shm" not in [mount["Source"] for mount in described["Mounts"]]
    assert not any("TOKEN" in each or "PEERS" in each for each in described["Config"]["Env"])
    assert model(3) == 3
