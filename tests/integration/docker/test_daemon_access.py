"""The choice of the daemon, and the errors for users who cannot use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpumodels.engines import engine
from gpumodels.errors import EngineUnavailable
from gpumodels.loading import load
from tests.integration.docker.relay import relayed
from tests.integration.docker.users import as_user

if TYPE_CHECKING:
    from tests.integration.reports import Recorded

REAL = "/var/run/docker.sock"


def context(name: str, address: str) -> None:
    """Make a context of the docker CLI."""
    subprocess.run(
        ["docker", "context", "create", name, "--docker", f"host={address}"], check=True, capture_output=True
    )


def test_docker_host_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with relayed(tmp_path / "other.sock", REAL) as used:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/other.sock")
        engine("docker").check()
        assert used() > 0


def test_the_current_context_of_the_cli_is_used(tmp_path: Path) -> None:
    with relayed(tmp_path / "other.sock", REAL) as used:
        context("elsewhere", f"unix://{tmp_path}/other.sock")
        subprocess.run(["docker", "context", "use", "elsewhere"], check=True, capture_output=True)
        engine("docker").check()
        assert used() > 0


def test_the_variable_docker_context_precedes_the_current_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context("broken", "unix:///nonexistent")
    subprocess.run(["docker", "context", "use", "broken"], check=True, capture_output=True)
    with relayed(tmp_path / "other.sock", REAL) as used:
        context("good", f"unix://{tmp_path}/other.sock")
        monkeypatch.setenv("DOCKER_CONTEXT", "good")
        engine("docker").check()
        assert used() > 0


def test_docker_host_precedes_docker_context_as_in_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "missing")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{REAL}")
    engine("docker").check()


def test_an_unknown_docker_context_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "missing")
    with pytest.raises(EngineUnavailable, match=r"There is no Docker context .missing..*docker context ls"):
        engine("docker").check()


def test_a_current_context_that_was_removed_is_named(tmp_path: Path) -> None:
    config = tmp_path / "docker-config"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"currentContext": "gone"}))
    with pytest.raises(EngineUnavailable, match=r"There is no Docker context .gone."):
        engine("docker").check()


def test_a_broken_context_file_is_a_clear_error(tmp_path: Path) -> None:
    context("elsewhere", "unix:///nonexistent")
    (meta,) = (tmp_path / "docker-config").glob("contexts/meta/*/meta.json")
    meta.write_text("{")
    subprocess.run(["docker", "context", "use", "default"], check=False, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONTEXT", "elsewhere")
        with pytest.raises(EngineUnavailable, match="elsewhere"):
            engine("docker").check()


def test_the_error_without_docker_names_the_process_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    with pytest.raises(
        EngineUnavailable, match=r"unix:///nonexistent \(No such file or directory\).*`--engine process`"
    ):
        load("echo", gpu="none", engine="docker")


def test_a_malformed_docker_host_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "nonsense://")
    with pytest.raises(EngineUnavailable, match=r"nonsense://.*`--engine process`"):
        engine("docker").check()


def test_the_error_of_a_docker_host_over_ssh_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://somebody@somewhere")
    with pytest.raises(
        EngineUnavailable, match=r"ssh://somebody@somewhere .*`pip install paramiko`.*`--engine process"
    ):
        engine("docker").check()


def test_missing_certificates_are_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="DOCKER_CERT_PATH"):
        engine("docker").check()


def test_auto_without_docker_uses_a_process_with_one_notice(monkeypatch: pytest.MonkeyPatch, report: Recorded) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    with load("echo", gpu="none", engine="auto", report=report) as model:
        assert model.record.engine == "process"
        assert model(3) == 3
    (notice,) = report.notices
    assert notice.startswith("echo runs in a local process. Docker does not answer")


def test_the_error_of_a_socket_without_permission_names_its_group(tmp_path: Path) -> None:
    code = """
        from gpumodels.engines import engine
        from gpumodels.errors import EngineUnavailable
        try:
            engine("docker").check()
        except EngineUnavailable as error:
            print(error)
    """
    output = as_user([sys.executable, "-c", textwrap.dedent(code)], tmp_path, env={**os.environ, "USER": "ada"}).stdout
    group = Path(REAL).group()
    assert f"you may not use {REAL}: it belongs to the group '{group}'" in output
    assert f"usermod -aG {group} ada" in output
    assert "`--engine process`" in output
