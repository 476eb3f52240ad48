"""Fixtures: real model servers, each in its own process, and clients for them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpumodels.client import Client
from gpumodels.engines.local import LocalConnector
from gpumodels.protocol import frames
from tests.slots import SERVER
from tests.unit.client.liar import Peer

ROOT = Path(__file__).parents[3]


class Served:
    """A running `python -m gpumodels.server` with its directories. `client()` waits until it is ready."""

    def __init__(
        self,
        place: Path,
        folder: Path,
        env: dict[str, str],
        *,
        shm: bool = True,
        name: str = "",
        server: tuple[str, ...] = ("-m", "gpumodels.server"),
    ) -> None:
        self.sockets = place / "sock"
        self.sockets.mkdir(parents=True)
        self.shm = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="gpumodels-test-"))
        self.name = name or folder.name
        self.log_file = place / "log"
        self._clients: list[Client] = []
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GPUMODELS_")}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *server,
                    "--folder",
                    folder,
                    "--socket",
                    self.sockets,
                    "--name",
                    self.name,
                ],
                env={**inherited, "PYTHONPATH": str(ROOT), "GPUMODELS_SHM": str(self.shm) if shm else "", **env},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")

    def client(self, *, shm: bool = True, lane: bool = True) -> Client:
        client = Client(LocalConnector(self.sockets, self.shm if shm else None), self.name, lane=lane)
        self._clients.append(client)
        client.wait_ready(time.monotonic() + 60, self.check_alive)
        return client

    def shared_files(self, prefix: str = "") -> list[str]:
        return sorted(path.name for path in self.shm.iterdir() if path.name.startswith(prefix))

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log)

    def end(self) -> None:
        for client in self._clients:
            client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.shm)


def server_files(served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


def wait_until(true, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def serve(tmp_path):
    """A function that starts servers: `serve(**env)` for echo, `serve(source)` for a model.py with that text.

    `server` are the arguments of Python that start the server.
    """
    running = []

    def start(
        source: str = "",
        *,
        toml: str = "",
        shm: bool = True,
        place: Path | None = None,
        server: tuple[str, ...] = ("-m", "gpumodels.server"),
        **env: str,
    ) -> Served:
        folder = ROOT / "images" / "echo"
        if source:
            folder = tmp_path / f"model{len(running)}"
            folder.mkdir()
            (folder / "model.py").write_text(source)
            if toml:
                (folder / "model.toml").write_text(toml, "utf-8")
        running.append(Served(place or tmp_path / f"instance{len(running)}", folder, env, shm=shm, server=server))
        return running[-1]

    yield start
    for served in running:
        served.end()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def serve_two(pool, serve):
    """A function that starts servers of two slots.

    They end before the threads of the pool, which may wait for the servers when a test fails.
    """
    return lambda source="", **options: serve(source, server=SERVER, **options)


@pytest.fixture
def connect():
    """A function `connect(served)` that returns a connection as a `Peer`, which can send and receive any bytes."""
    made = []

    def to(served) -> Peer:
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].connect(str(served.sockets / frames.SOCKET_NAME))
        made[-1].settimeout(30)
        return Peer(made[-1], len(made))

    yield to
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One echo server, for tests that do not change it."""
    served = Served(tmp_path_factory.mktemp("echo"), ROOT / "images" / "echo", {})
    yield served
    served.end()


@pytest.fixture
def client(echo):
    """A client of the shared echo server."""
    client = echo.client()
    yield client
    client.close()
