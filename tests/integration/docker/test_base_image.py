"""The base image: present, pulled from a registry, or not available."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from docker.errors import ImageNotFound

from gpumodels.engines.docker import base_image
from gpumodels.errors import BaseImageUnavailable, EngineUnavailable
from gpumodels.loading import load
from tests.integration.docker.users import as_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

    from tests.integration.docker.conftest import MakeFolder
    from tests.integration.reports import Recorded

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registry(place: Path) -> Iterator[str]:
    """Run a real registry with an empty store, and yield its address."""
    port = free_port()
    (place / "config.yml").write_text(CONFIG.format(place=place / "store", port=port))
    with (place / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/"):
                break
            assert time.monotonic() < deadline, (place / "registry.log").read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def pushed(client: DockerClient, tmp_path: Path) -> Iterator[str]:
    """The name of an image of three layers. A registry has it, and the daemon does not."""
    (tmp_path / "context").mkdir()
    for number in range(3):
        (tmp_path / "context" / f"file{number}").write_bytes(os.urandom(4_000_000))
    copies = "".join(f"COPY file{number} /\n" for number in range(3))
    (tmp_path / "context" / "Dockerfile").write_text(f"FROM scratch\n{copies}")
    with registry(tmp_path) as address:
        name = f"{address}/base:1"
        client.images.build(path=str(tmp_path / "context"), tag=name, rm=True)
        client.images.push(name)
        client.images.remove(name, force=True)
        yield name
        with suppress(ImageNotFound):
            client.images.remove(name, force=True)


def test_a_base_image_is_pulled_with_progress_over_its_layers(
    client: DockerClient, pushed: str, report: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUMODELS_BASE_IMAGE", pushed)
    assert base_image.find(client, report.progress) == pushed
    assert client.images.get(pushed).tags == [pushed]
    assert report.progressed[-1] == (f"pulling {pushed}: 3 of 3 layers", 1.0)
    assert len({fraction for fraction in report.fractions if fraction < 1}) > 1
    assert all(0 <= fraction <= 1 for fraction in report.fractions)


def test_a_base_image_that_is_present_is_not_pulled(client: DockerClient, report: Recorded) -> None:
    assert base_image.find(client, report.progress) == base_image.made()
    assert report.progressed == []


def test_the_error_without_a_base_image_names_the_command_that_makes_one(
    folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(tmp_path) as address:
        monkeypatch.setenv("GPUMODELS_BASE_IMAGE", f"{address}/none:1")
        with pytest.raises(BaseImageUnavailable, match=rf"{address}/none:1 cannot be pulled .*gpumodels base-image"):
            load(folder("baseless"), gpu="none", engine="docker")


def test_auto_without_a_base_image_uses_a_process_with_a_notice(
    report: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUMODELS_BASE_IMAGE", f"127.0.0.1:{free_port()}/nobody/listens:1")
    with load("echo", gpu="none", engine="auto", report=report) as model:
        assert model.record.engine == "process"
    (notice,) = report.notices
    assert notice.startswith("echo runs in a local process. No base image: 127.0.0.1:")
    assert "`gpumodels base-image`" in notice


def test_a_malformed_image_name_is_a_clear_error(folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUMODELS_BASE_IMAGE", "No Such Name")
    with pytest.raises(EngineUnavailable, match="No Such Name: invalid reference format"):
        load(folder("misnamed"), gpu="none", engine="docker")


def test_making_a_base_image_needs_root(tmp_path: Path) -> None:
    output = command_line(tmp_path, as_root=False)
    assert output.startswith("gpumodels: Making a base image needs root and debootstrap:")


def test_making_a_base_image_needs_debootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    output = command_line(tmp_path, as_root=True)
    assert output.startswith("gpumodels: Making a base image needs root and debootstrap:")
    assert "apt-get install debootstrap" in output


def command_line(directory: Path, *, as_root: bool) -> str:
    """Run `gpumodels base-image`, which must fail, and return its output."""
    code = """
        import os, sys
        from gpumodels.cli import main
        sys.stderr = sys.stdout
        assert main(["base-image"]) == 1
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    if as_root:
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout
    return as_user(command, directory).stdout
