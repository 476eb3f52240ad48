"""Restarts of the Docker daemon, and deaths of kernels while it is down: soon after its return nothing is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
import pytest

from gpumodels import catalog, engines
from gpumodels.engines.docker import base_image
from tests.integration.docker.second_daemon import second_daemon
from tests.leftovers import Leftovers, until

#: Seconds from the return of the daemon until nothing is left, on a busy machine. The documentation promises ten.
WITHIN = 20.0

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon():
    """A second daemon for these tests. It has the image of echo."""
    first = docker.from_env()
    with second_daemon(Path(first.info()["DockerRootDir"]).parent) as second:
        made = engines.engine("docker").prepare(catalog.find("echo"), "cpu", lambda *_: None)
        second.copy(first, base_image.made(), made)
        yield second
    first.close()


@pytest.fixture
def kernel(daemon, monkeypatch, make_kernel):
    monkeypatch.setenv("DOCKER_HOST", daemon.address)
    return make_kernel()


@pytest.fixture
def leftovers(runtime_path):
    return Leftovers(runtime_path, containers=True)


def test_docker_restarted(daemon, kernel, leftovers):
    # The restart ends all containers. The notebook lives on, removes what is left and loads again.
    kernel.load("docker")
    daemon.stop()
    until(lambda: not [each for each in leftovers.processes() if "cleanup.guard" not in each], WITHIN)
    daemon.start()
    until(lambda: not [each for each in leftovers() if "cleanup.guard" not in each], WITHIN)
    kernel.run("try: model(1)\nexcept gpumodels.ModelGone: pass\nelse: raise AssertionError")
    kernel.load("docker")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_docker_down_while_the_kernel_dies(daemon, kernel, leftovers):
    # The guard waits until the daemon is back, and removes the container.
    kernel.load("docker")
    daemon.stop()
    kernel.kill()
    until(lambda: not [each for each in leftovers.processes() if "cleanup.guard" not in each], WITHIN)
    assert leftovers.directories()
    daemon.start()
    leftovers.wait(WITHIN)


def test_docker_killed_and_then_the_kernel(daemon, kernel, leftovers):
    # Without a daemon the model answers calls, and ends with the kernel. Its container is removed when Docker is back.
    kernel.load("docker")
    daemon.kill()
    kernel.run("assert model(1) == 1")
    kernel.kill()
    until(lambda: not [each for each in leftovers.processes() if "cleanup.guard" not in each], WITHIN)
    daemon.start()
    leftovers.wait(WITHIN)


def test_docker_down_while_the_runtime_directory_is_removed_and_the_kernel_dies(daemon, kernel, leftovers):
    # Only the labels of the container still show the instance.
    kernel.load("docker")
    daemon.kill()
    shutil.rmtree(leftovers.path)
    kernel.kill()
    until(lambda: not [each for each in leftovers.processes() if "cleanup.guard" not in each], WITHIN)
    daemon.start()
    until(lambda: leftovers.containers() == [], WITHIN)
