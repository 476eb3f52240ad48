"""A real Jupyter server ends with its kernels: nothing of their models is left."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient

from tests.leftovers import ROOT, until
from tests.lifecycle.conftest import loading, run

WITHIN = 15.0


class Server:
    """A `jupyter server` in a process group of its own, which starts kernels through its API."""

    def __init__(self, directory):
        self.token = secrets.token_hex(8)
        self.directory = directory
        own = {name: str(directory / name.lower()) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={_free_port()}",
             "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={directory}",
             "--ServerApp.jpserver_extensions={'gpumodels': True}"],
            env={**os.environ, **own, "PYTHONPATH": str(ROOT), "JUPYTER_NO_CONFIG": "1"}, cwd=directory,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.files = Path(own["JUPYTER_RUNTIME_DIR"])
        self.url = json.loads(until(self._server_file, 60))["url"]
        until(self._listens, 60)
        self.clients = []

    def _server_file(self):
        found = list(self.files.glob("jpserver-*.json"))
        return found[0].read_text() if found else ""

    def _listens(self):
        with suppress(OSError), urllib.request.urlopen(f"{self.url}api", timeout=60):
            return True
        return False

    def kernels(self, number):
        """Start so many kernels, and return the clients of all."""
        self.clients += [self._kernel() for _ in range(number)]
        for client in self.clients:
            until(lambda client=client: _ready(client), 60)
        return self.clients

    def _kernel(self):
        request = urllib.request.Request(
            f"{self.url}api/kernels", b"{}", {"Authorization": f"token {self.token}"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            identity = json.load(answer)["id"]
        client = BlockingKernelClient(connection_file=str(self.files / f"kernel-{identity}.json"))
        client.load_connection_file()
        client.start_channels()
        return client

    def close(self):
        for client in self.clients:
            client.stop_channels()
        self.process.kill()
        self.process.wait()


def _ready(client):
    with suppress(RuntimeError):  # raised while the kernel does not answer yet
        client.wait_for_ready(60)
        return True
    return False


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(tmp_path, runtime_path):
    directory = tmp_path / "server"
    directory.mkdir()
    server = Server(directory)
    yield server
    server.close()


def sigterm(server):
    """End the server, which shuts its kernels down."""
    server.process.terminate()


def sigkill(server):
    """Kill the server. Its kernels notice that within a second and call `os._exit`."""
    server.process.kill()


def process_group(server):
    os.killpg(server.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("engine_name", [["docker", "process"]], ids=["docker and process"])
@pytest.mark.parametrize("death", [sigterm, sigkill, process_group], ids=lambda death: death.__name__)
def test_nothing_is_left_of_a_jupyter_server(death, engine_name, server, leftovers):
    # There are two notebooks, one of them with a call in flight.
    for engine, client in zip(engine_name, server.kernels(2), strict=True):
        run(client, f"{loading(engine)}; assert model(1) == 1")
    server.clients[0].execute("model(1, sleep=600.0)")
    time.sleep(0.2)
    assert len(leftovers.directories()) == 2
    death(server)
    leftovers.wait(WITHIN)


def test_the_start_of_a_jupyter_server_sweeps(kernel, tmp_path, leftovers):
    # It removes what is left of a kernel that was killed together with all its guards.
    kernel.load("process")
    for session in kernel.guards():
        os.killpg(session, signal.SIGKILL)
    kernel.kill()
    until(lambda: leftovers.processes() == [])
    assert leftovers.directories()
    directory = tmp_path / "server"
    directory.mkdir()
    server = Server(directory)
    try:
        leftovers.wait(WITHIN)
    finally:
        server.close()
