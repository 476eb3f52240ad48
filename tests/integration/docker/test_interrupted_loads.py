"""Loads that end during a request to the daemon: nothing is left, at once or as soon as the daemon answers."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from gpumodels.cleanup import sweep
from gpumodels.errors import EngineUnavailable, LoadCancelled
from gpumodels.loading import load
from tests.integration.docker.relay import relayed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker import DockerClient

REAL = "/var/run/docker.sock"


@pytest.fixture
def own_containers(client: DockerClient, tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The containers of this test's runtime directory."""
    return lambda: client.api.containers(all=True, filters={"label": f"gpumodels.runtime={tmp_path}/runtime"})


def directories(tmp_path: Path) -> list[str]:
    """Return the names of the instances' directories."""
    return [place.name for place in (tmp_path / "runtime").iterdir() if not place.name.startswith(".")]


@pytest.fixture(autouse=True)
def _image() -> None:
    with load("echo", gpu="none", engine="docker"):
        pass


@pytest.mark.parametrize("request_of", ['"HostConfig"', "/start "])
def test_an_interrupt_during_a_request_leaves_nothing(
    request_of: str, own_containers: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(data: bytes) -> None:
        if request_of.encode() in data:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)  # so that the interrupt comes before the daemon has the whole request

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
    with relayed(tmp_path / "other.sock", REAL, interrupt):
        with pytest.raises(LoadCancelled, match="cancelled, nothing left"):
            load("echo", gpu="none", engine="docker")
        assert directories(tmp_path) == []
        time.sleep(1)  # for a request that is still on its way
        assert own_containers() == []


def test_a_daemon_that_goes_away_is_named_and_its_container_is_swept_later(
    own_containers: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(data: bytes) -> None:
        if b"/containers/create" not in data and b"/containers/" in data and b"/json?" not in data:
            raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
        with (
            relayed(tmp_path / "other.sock", REAL, cut),
            pytest.raises(EngineUnavailable, match="Docker stopped answering while 'echo' was started"),
        ):
            load("echo", gpu="none", engine="docker")
    assert len(own_containers()) == 1
    assert sweep()
    assert own_containers() == []
    assert directories(tmp_path) == []
