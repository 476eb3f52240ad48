"""The command `reap`: it removes and names instances that nobody holds, and leaves all others."""

from __future__ import annotations

import os
import signal

import docker
import pytest

import gpumodels
from gpumodels import engines
from gpumodels.engines.docker import base_image, labels
from tests.leftovers import Leftovers, until


@pytest.fixture(params=["docker", "process"])
def orphan(request, puppet, runtime_path):
    """The id of a model after its program was killed while the guards were stopped.

    The leash ends the model server, but nothing removes what is left of it.
    """
    program = puppet()
    program.do(f"import gpumodels; model = gpumodels.load('echo', gpu='none', engine={request.param!r})")
    found = program.do("model.record.id")
    _signal_guards(runtime_path, signal.SIGSTOP)
    program.kill()
    yield found
    _signal_guards(runtime_path, signal.SIGCONT)


def _signal_guards(path, number):
    for line in Leftovers(path).processes():
        if "gpumodels.cleanup.guard" in line:
            os.kill(int(line.split()[0]), number)


def test_what_a_crash_left_is_removed_and_named(cli, orphan, runtime_path):
    said = cli("reap").ok()
    assert f"removed echo ({orphan}) of " in said
    assert Leftovers(runtime_path, containers=True).directories() == []
    assert Leftovers(runtime_path, containers=True).containers() == []
    assert cli("reap").ok() == "nothing was left over\n"


def test_a_model_that_is_held_stays(cli, echo):
    assert cli("reap").ok() == "nothing was left over\n"
    assert echo(1) == 1


def test_a_container_without_a_directory_is_removed_in_docker(cli, runtime):
    client = docker.from_env()
    place = labels.of_location(runtime.path, runtime.identity)
    image = base_image.present(client)
    made = client.containers.create(image, "true", labels={labels.INSTANCE: "gone-1", **place})
    try:
        assert cli("reap").ok() == f"removed container {made.name}\n"
        assert made.id not in [each.id for each in client.containers.list(all=True)]
    finally:
        engines.engine("docker").sweep(runtime.path, runtime.identity)
        client.close()


def test_shared_memory_without_a_directory_is_removed(cli, runtime):
    path = runtime.make_shared_memory("lost-1")
    assert cli("reap").ok() == f"removed shared memory {runtime.identity}-lost-1\n"
    assert not Leftovers(runtime.path).shared_memory(), path


def test_without_docker_the_rest_is_reaped_and_a_notice_is_printed(cli):
    ran = cli("reap", env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (ran.status, ran.out) == (0, "nothing was left over\n")
    assert ran.err.startswith(
        "gpumodels: containers were not looked at. Docker does not answer at unix:///nowhere.sock"
    )
    until(lambda: gpumodels.running() == [])
