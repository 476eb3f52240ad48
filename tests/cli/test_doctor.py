"""The command `doctor`: its findings, its advice and its exit status."""

from __future__ import annotations

import json
import socket

import pytest

from tests.fakes.nvml import GB, gpu, machine

CHECKS = [
    "versions", "settings", "runtime directory", "cache", "shared memory", "sealed memory", "process engine",
    "namespaces", "GPU driver", "Docker", "GPUs in containers", "base image", "Docker's disk", "Jupyter",
]  # fmt: skip
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.fixture
def findings(cli):
    """A function that runs `doctor`, checks its exit status and returns its findings by name of the check.

    It is called as `findings(status, NAME=value, ...)` with environment variables.
    """

    def run(status, **env):
        ran = cli("doctor", "--json", env=env)
        assert (ran.status, ran.err) == (status, ""), ran
        return {each["check"]: each for each in json.loads(ran.out)}

    return run


@pytest.mark.parametrize("engine", ["docker"])
def test_every_check_is_made_and_none_fails_here(findings, cli, engine):
    found = findings(0)
    assert list(found) == CHECKS
    assert all(each.keys() == {"check", "status", "text", "mend"} for each in found.values())
    assert all(each["status"] in ("ok", "warn") for each in found.values())
    assert all(each["mend"] for each in found.values() if each["status"] == "warn")
    lines = cli("doctor").ok().splitlines()
    assert lines[0].startswith("ok    versions: gpumodels ")


def test_a_docker_that_does_not_answer_fails_and_says_what_to_do(findings):
    docker = findings(1, **NO_DOCKER)["Docker"]
    assert docker["status"] == "fail"
    assert docker["text"].startswith("Docker does not answer at unix:///nowhere.sock")
    assert docker["mend"].startswith("Start it, or use `--engine process`")


def test_a_docker_socket_without_a_listener_fails(findings, tmp_path):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        assert "Connection refused" in findings(1, DOCKER_HOST=f"unix://{path}")["Docker"]["text"]


def test_a_broken_settings_file_fails_with_its_line(findings, tmp_path):
    directory = tmp_path / "config" / "gpumodels"
    directory.mkdir(parents=True)
    (directory / "settings.toml").write_text("\nidle = 'soon'\n")
    found = findings(1, **NO_DOCKER)
    assert found["settings"]["status"] == "fail"
    assert "settings.toml, line 2: idle" in found["settings"]["text"]
    assert found["runtime directory"]["status"] == "ok"


def test_changed_settings_are_named(findings):
    assert "runtime_dir by GPUMODELS_RUNTIME_DIR" in findings(1, **NO_DOCKER)["settings"]["text"]


def test_a_runtime_directory_that_is_open_to_others_fails(findings, runtime_path):
    runtime_path.mkdir()
    runtime_path.chmod(0o755)
    found = findings(1, **NO_DOCKER)["runtime directory"]
    assert (found["status"], found["mend"]) == ("fail", f"Close it with `chmod 700 {runtime_path}`.")
    runtime_path.chmod(0o700)


def test_a_runtime_directory_says_mode_and_filesystem(findings, runtime_path):
    found = findings(1, **NO_DOCKER)["runtime directory"]
    assert found["text"].startswith(f"{runtime_path}, mode 700, ")


def test_a_gpu_is_named_with_its_driver(findings, tmp_path):
    there = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB))
    found = findings(1, **NO_DOCKER, **there.environment())["GPU driver"]
    assert (found["status"], found["text"]) == ("ok", "driver 550.54.15, GPU 0 NVIDIA H100")


def test_a_gpu_that_the_administrator_does_not_allow_is_a_warning(findings, tmp_path):
    there = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB))
    found = findings(1, **NO_DOCKER, **there.environment(), CUDA_VISIBLE_DEVICES="")["GPU driver"]
    assert found["status"] == "warn"
    assert "none is allowed" in found["text"]


@pytest.mark.parametrize("engine", ["docker"])
def test_gpus_that_docker_cannot_give_fail_with_what_to_install(findings, tmp_path, engine):
    there = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB))
    found = findings(1, **there.environment())["GPUs in containers"]
    assert found["status"] == "fail"
    assert "NVIDIA container toolkit" in found["mend"]


@pytest.mark.parametrize("engine", ["docker"])
def test_a_base_image_that_is_not_here_is_a_warning(findings, engine):
    found = findings(0, GPUMODELS_BASE_IMAGE="nobody/has:this")["base image"]
    assert (found["status"], found["text"]) == ("warn", "none is here yet")


def test_a_cache_that_cannot_be_used_fails(findings, tmp_path):
    (tmp_path / "file").touch()
    assert findings(1, **NO_DOCKER, XDG_CACHE_HOME=str(tmp_path / "file" / "below"))["cache"]["status"] == "fail"
