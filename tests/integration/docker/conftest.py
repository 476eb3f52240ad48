"""Fixtures: a real daemon, model folders, and a runtime directory for each test.

Images are named by their content, so a folder that several tests load is built once. The images are removed at the end.
"""

from __future__ import annotations

import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import APIError

from gpumodels.cleanup import sweep
from gpumodels.engines.docker import labels
from tests.integration.reports import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker import DockerClient

    MakeFolder = Callable[..., Path]

#: Environment variables of the machine that would change the outcome of a test.
_MACHINE_VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "GPUMODELS_BASE_IMAGE", "CUDA_VISIBLE_DEVICES", "ECHO_LOAD")

#: The beginning of the names of models that tests make. Images of these models are removed at the end.
PREFIX = "dockertest-"


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """A client of the machine's daemon, with which tests inspect containers and images."""
    client = docker.DockerClient(base_url="unix:///var/run/docker.sock")
    yield client
    for image in client.images.list(filters={"label": labels.MODEL}):
        if image.labels[labels.MODEL].startswith(PREFIX):
            with suppress(APIError):
                client.images.remove(image.id, force=True)
    client.close()


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a runtime directory of the test's own, and sweep it at the end."""
    for name in _MACHINE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    yield
    sweep()


@pytest.fixture
def report() -> Recorded:
    return Recorded()


@pytest.fixture
def folder(tmp_path: Path) -> MakeFolder:
    """A function `folder(name, code, *, requirements, dockerfile, toml)` that makes a model folder."""

    def make(
        name: str,
        code: str = PLAIN,
        *,
        requirements: tuple[str, ...] = (),
        dockerfile: str | None = None,
        toml: str = "",
    ) -> Path:
        path = tmp_path / f"{PREFIX}{name}"
        path.mkdir(exist_ok=True)
        listed = ", ".join(f'"{line}"' for line in requirements)
        (path / "model.toml").write_text(
            f'name = "{path.name}"\n{toml}\n[requirements]\ncpu = [{listed}]\ngpu = [{listed}]\n'
        )
        (path / "model.py").write_text(textwrap.dedent(code))
        if dockerfile is not None:
            (path / "Dockerfile").write_text(textwrap.dedent(dockerfile))
        return path

    return make


PLAIN = """
    class Model:
        def load(self, device: str) -> None:
            pass

        def predict(self, value: dict) -> dict:
            return value
"""
