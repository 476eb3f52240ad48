"""Docker daemons that hang: a notebook waits some seconds, not a minute, and the error names the daemon."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gpumodels.cleanup import sweep
from gpumodels.engines import engine
from gpumodels.errors import EngineUnavailable
from gpumodels.instances import runtime_directory
from gpumodels.loading import load
from tests.integration.docker.relay import relayed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpumodels.model import Model
    from tests.integration.reports import Recorded

REAL = "/var/run/docker.sock"
#: Seconds that a busy machine may take; docker-py by itself would wait for 60.
SOON = 25


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer than `seconds`."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set DOCKER_HOST to a socket that accepts every connection and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "deaf.sock"))
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/deaf.sock")
        yield
    monkeypatch.undo()


@pytest.mark.usefixtures("deaf")
def test_the_check_of_a_daemon_that_never_answers_ends_soon() -> None:
    with within(SOON), pytest.raises(EngineUnavailable, match=r"does not answer at unix:.*deaf\.sock \(.*timed out"):
        engine("docker").check()


@pytest.mark.usefixtures("deaf")
def test_auto_uses_a_process_if_the_daemon_never_answers(report: Recorded) -> None:
    with within(2 * SOON), load("echo", gpu="none", engine="auto", report=report) as model:
        assert model.record.engine == "process"
    assert report.notices[0].startswith("echo runs in a local process. Docker does not answer")


def test_a_daemon_that_answers_only_with_its_version_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(data: bytes) -> None:
        if b"/info" in data:
            raise ConnectionResetError

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
    with (
        relayed(tmp_path / "other.sock", REAL, cut),
        pytest.raises(EngineUnavailable, match="Docker failed while its properties were read"),
    ):
        engine("docker").check()


def test_stop_and_sweep_do_not_wait_long_for_a_daemon_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, over = threading.Event(), threading.Event()

    def hang(_data: bytes) -> None:
        if hangs.is_set():
            over.wait(100)

    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
        with relayed(tmp_path / "other.sock", REAL, hang):
            model = load("echo", gpu="none", engine="docker")
            hangs.set()
            with within(SOON), pytest.raises(EngineUnavailable, match="Docker does not answer"):
                stop_instance_of(model)
            with within(SOON):
                model.stop()  # the lease ends the model without Docker
            with within(SOON):
                sweep()
            over.set()
    assert sweep()


def stop_instance_of(model: Model) -> None:
    """Stop the model through its engine, as another notebook does."""
    directory = runtime_directory().directory(model.record.id)
    engine("docker").attach(model.record, directory).stop(model.record.grace)
