"""A load that is broken off between us and the daemon leaves nothing: at once, or as soon as the daemon answers."""

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
def ours(client: DockerClient, tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The containers of this test's runtime directory."""
    return lambda: client.api.containers(all=True, filters={"label": f"gpumodels.runtime={tmp_path}/runtime"})


def left(tmp_path: Path) -> list[str]:
    return [place.name for place in (tmp_path / "runtime").iterdir() if not place.name.startswith(".")]


@pytest.fixture(autouse=True)
def _image() -> None:
    with load("echo", gpu="none", engine="docker"):
        pass


@pytest.mark.parametrize("request_of", ['"HostConfig"', "/start "])
def test_interrupt_while_the_daemon_is_at_work_leaves_nothing(
    request_of: str, ours: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(data: bytes) -> None:
        if request_of.encode() in data:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)  # the daemon has all of the request only when the notebook has been interrupted

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
    with relayed(tmp_path / "other.sock", REAL, interrupt):
        with pytest.raises(LoadCancelled, match="cancelled, nothing left"):
            load("echo", gpu="none", engine="docker")
        assert left(tmp_path) == []
        time.sleep(1)  # for whatever was still under way to arrive
        assert ours() == []


def test_daemon_that_goes_away_is_named_and_its_container_swept_later(
    ours: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert len(ours()) == 1
    assert sweep()
    assert ours() == []
    assert left(tmp_path) == []
