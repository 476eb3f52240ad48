"""Sweeping containers: those that do not run, have exactly our labels, and have no instance directory any more."""

from __future__ import annotations

import secrets

import docker
import pytest

from gpumodels import engines
from gpumodels.cleanup import sweep
from gpumodels.engines.docker import base_image, labels
from gpumodels.lease.held import LeaseState
from tests.leftovers import until


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def container(client, runtime):
    """A function that makes a container with our labels. Its arguments replace some of them."""
    made = []
    runtime.note_engine("docker")

    def make(*command, started=True, **changed):
        given = {labels.INSTANCE: f"echo-{secrets.token_hex(5)}", **labels.of_location(runtime.path, runtime.identity)}
        found = client.containers.create(base_image.made(), [*command] or ["true"], labels={**given, **changed})
        made.append(found)
        if started:
            found.start()
            if not command:
                found.wait()
        return found

    yield make
    for each in made:
        try:
            each.remove(force=True)
        except docker.errors.NotFound:
            continue


def _exists(client, container):
    return any(each.id == container.id for each in client.containers.list(all=True, sparse=True))


def test_a_container_that_was_never_started_is_removed(container, client, runtime):
    made = container(started=False)
    sweep(runtime)
    assert not _exists(client, made)


def test_a_container_that_has_ended_is_removed(container, client, runtime):
    made = container()
    sweep(runtime)
    assert not _exists(client, made)


def test_a_running_container_is_left(container, client, runtime):
    made = container("sleep", "60")
    sweep(runtime)
    assert _exists(client, made)


@pytest.mark.parametrize(
    "changed",
    [
        {labels.UID: "12345"},
        {labels.MACHINE: "another"},
        {labels.IDENTITY: "00000000"},
        {labels.RUNTIME: "/another/directory"},
    ],
    ids=["user", "machine", "identity", "directory"],
)
def test_a_container_of_another_user_machine_or_directory_is_left(container, client, runtime, changed):
    made = container(**changed)
    sweep(runtime)
    assert _exists(client, made)


def test_a_container_without_our_labels_is_left(client, runtime):
    made = client.containers.create(base_image.made(), ["true"])
    try:
        sweep(runtime)
        assert _exists(client, made)
    finally:
        made.remove(force=True)


def test_a_container_of_another_boot_that_was_made_since_is_left(container, client, runtime):
    """Leave the container, because it may be about to start.

    A machine with a copied machine id may use the same daemon.
    """
    made = container(**{labels.BOOT: "another"})
    sweep(runtime)
    assert _exists(client, made)


def test_a_container_of_an_instance_that_is_being_made_is_left(container, client, runtime, create_instance):
    directory, lease = create_instance()
    made = container(started=False, **{labels.INSTANCE: directory.id})
    sweep(runtime)
    assert _exists(client, made)
    lease.release()
    made.rename(f"gpumodels-{directory.id}")
    until(lambda: sweep(runtime))
    assert not _exists(client, made)


@pytest.fixture
def create_instance(runtime):
    from gpumodels.lease.record import InstanceRecord, Owner

    def make():
        return runtime.create(InstanceRecord(f"echo-{secrets.token_hex(5)}", "echo", "docker", Owner(0), 0.0))

    return make


@pytest.mark.parametrize("engine_name", ["docker"])
def test_a_paused_container_is_removed_by_force(start, engine_name, runtime, client, leftovers, monkeypatch):
    """Pause the leash together with the model server, so that it cannot end the instance."""
    monkeypatch.setattr("gpumodels.cleanup.sweeping._LEASH_PATIENCE", 0.05)
    started = start(grace=0.0)
    started.call(1)
    client.containers.get(started.instance.name).pause()
    started.lease.release()
    assert started.directory.lease_state is LeaseState.FREE
    until(lambda: sweep(runtime))
    assert leftovers() == []


def test_a_daemon_that_is_down_keeps_the_directory_for_later(create_instance, runtime, monkeypatch):
    directory, lease = create_instance()
    lease.release()
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///no/such/socket")
        assert sweep(runtime) is False
    assert [each.id for each in runtime.claimed()] == [directory.id]
    assert sweep(runtime) is True
    assert runtime.claimed() == []


def test_a_daemon_that_is_down_is_ignored_if_docker_was_not_used(runtime, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    assert sweep(runtime) is True
    assert engines.engine("docker").name == "docker"


def test_the_guard_removes_a_container_whose_kernel_was_killed_before_the_start(puppet, leftovers):
    """Kill the kernel before any leash has run, so that the lease alone cannot remove the container."""
    kernel = puppet()
    kernel.do(
        "import os, signal, gpumodels; from docker.api.container import ContainerApiMixin\n"
        "ContainerApiMixin.start = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
    )
    kernel.tell("gpumodels.load('echo', gpu='none', engine='docker')")
    kernel.process.wait(60)
    leftovers.wait()


def test_the_guard_waits_for_a_daemon_that_is_down(puppet, leftovers, tmp_path):
    """Connect to the daemon through a link. Remove the link, kill the kernel, and restore the link."""
    socket = tmp_path / "docker.sock"
    real = "/var/run/docker.sock"
    socket.symlink_to(real)
    kernel = puppet(env={"DOCKER_HOST": f"unix://{socket}"})
    kernel.do("import gpumodels; m = gpumodels.load('echo', gpu='none', engine='docker')")
    socket.unlink()
    kernel.kill()
    until(lambda: leftovers.containers() and leftovers.containers()[0].endswith("exited"))
    assert leftovers.directories()
    socket.symlink_to(real)
    leftovers.wait()
