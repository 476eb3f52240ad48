"""A second dockerd, started by the tests. It uses the fake nvidia runtime as if it were the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker

from tests.fakes.runtime import nvidia

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient


class SecondDaemon:
    """A running daemon with a `client`."""

    def __init__(self, place: Path, launch: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.place = place
        self._launch = launch
        self.process = launch()
        self.address = f"unix://{place}/docker.sock"
        self.tools = place / "tools"
        self.client: DockerClient

    def wait(self) -> None:
        """Wait until the daemon answers, 60 seconds at most."""
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.place / "log").read_text()[-4000:]
            assert time.monotonic() < deadline, (self.place / "log").read_text()[-4000:]
            time.sleep(0.1)
        self.client = docker.DockerClient(base_url=self.address)

    def stop(self) -> None:
        """End the daemon, which ends its containers."""
        self.client.close()
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        """Kill the daemon, which leaves its containers running. Its containerd dies with it."""
        self.client.close()
        self.process.kill()
        self.process.wait()
        # Nobody reaps containerd, so it may stay as a zombie. The next daemon would believe it alive and wait for it.
        (self.place / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def start(self) -> None:
        """Start the daemon again."""
        self.process = self._launch()
        self.wait()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(self.place / "docker.sock"))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return probe.recv(4096).startswith(b"HTTP/1.0 200")
        return False

    def set_runtimes(self, *names: str) -> None:
        """Configure these runtimes in addition to runc."""
        configure(self.place, names)
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while ("nvidia" in self.client.info()["Runtimes"]) != ("nvidia" in names):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def copy(self, client: DockerClient, *images: str) -> None:
        """Copy images from another daemon. They keep their ids."""
        sockets = (client.api._custom_adapter.socket_path, f"{self.place}/docker.sock")
        save = subprocess.Popen(["docker", "-H", f"unix://{sockets[0]}", "save", *images], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "-H", f"unix://{sockets[1]}", "load", "-q"], stdin=save.stdout, check=True, capture_output=True
        )
        assert save.stdout is not None
        save.stdout.close()
        assert save.wait() == 0

    @property
    def hooked(self) -> list[str]:
        """The devices that containers requested from the fake hook, one line for each container."""
        notes = self.tools / nvidia.NOTES
        return notes.read_text().splitlines() if notes.exists() else []


def configure(place: Path, runtimes: tuple[str, ...]) -> None:
    known = {name: {"path": str(place / "tools" / "nvidia-container-runtime")} for name in runtimes}
    (place / "daemon.json").write_text(json.dumps({"runtimes": known}))


@contextmanager
def second_daemon(storage: Path) -> Iterator[SecondDaemon]:
    """Start a second daemon. Its images lie beside those of the first, on a filesystem that Docker supports."""
    place = Path(tempfile.mkdtemp(prefix="gm-"))  # a short path, because it holds sockets
    data = Path(tempfile.mkdtemp(prefix="gpumodels-test-", dir=storage))
    tools = place / "tools"
    tools.mkdir()
    for name in ("nvidia-container-runtime", "nvidia-container-runtime-hook"):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} -I {nvidia.__file__} {tools} "$@"\n')
        (tools / name).chmod(0o755)
    configure(place, ("nvidia",))

    def launch() -> subprocess.Popen[bytes]:
        with (place / "log").open("ab") as log:
            return subprocess.Popen(
                # It needs its own network namespace: a dockerd without a bridge removes docker0, which the first daemon
                # uses.
                ["unshare", "--net", "dockerd", "--config-file", place / "daemon.json",
                 "--data-root", data, "--exec-root", place / "exec",
                 "--pidfile", place / "pid", "-H", f"unix://{place}/docker.sock", "--bridge=none", "--iptables=false"],
                env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    daemon = SecondDaemon(place, launch)
    try:
        daemon.wait()
        yield daemon
        daemon.client.close()
    finally:
        daemon.process.terminate()  # the daemon ends its containerd
        daemon.process.wait(30)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)
