"""Directories of instances that vanish, are on a full disk, or lie beside the files of others."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import docker
import pytest

from gpumodels.cleanup import sweep
from gpumodels.engines.docker import base_image, labels
from gpumodels.lease.processes import of_instance
from gpumodels.lease.record import VERSION
from gpumodels.lease.runtime import RuntimeDirectory
from tests.leftovers import Leftovers, Puppet, until

WITHIN = 15.0
_LOAD = """
from gpumodels.errors import RuntimeDirectoryError
message = ""
try:
    gpumodels.load("echo", gpu="none", engine={!r}, env={{"ECHO_LOAD": {!r}}})
except RuntimeDirectoryError as error:
    message = str(error)
"""


def test_a_runtime_directory_that_is_removed_with_a_model_in_it(kernel, engine_name, runtime, leftovers):
    # The lease needs the open file, not its name. The guard finds what lies outside the directory by the identity.
    kernel.load(engine_name)
    directory = runtime.instances()[0]
    shared = Path(directory.record().shared_memory)
    shutil.rmtree(runtime.path)
    kernel.run("assert model(2) == 2")
    assert of_instance(directory.id)
    kernel.kill()
    until(lambda: leftovers() == [] and of_instance(directory.id) == [] and not shared.exists(), WITHIN)
    assert not runtime.path.exists()


def test_a_runtime_directory_that_is_made_anew_while_a_model_runs(kernel, engine_name, runtime, leftovers):
    kernel.load(engine_name)
    directory = runtime.instances()[0]
    shared = Path(directory.record().shared_memory)
    shutil.rmtree(runtime.path)
    RuntimeDirectory(runtime.path)
    kernel.kill()
    until(lambda: leftovers() == [] and of_instance(directory.id) == [] and not shared.exists(), WITHIN)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A runtime directory on a disk of one megabyte."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "gpumodels-test", path], check=True)
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(path))
    yield path
    until(lambda: sweep(RuntimeDirectory(path)), WITHIN)
    subprocess.run(["umount", "--lazy", path], check=True)


def _fill_disk(path):
    with (path / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@pytest.mark.root
@pytest.mark.parametrize("full", ["before the load", "while it loads"])
def test_a_disk_that_is_full_fails_the_load_and_leaves_nothing(full, engine_name, small, make_kernel):
    kernel = make_kernel()
    left = _Left(small)
    kernel.run("%load_ext gpumodels\nimport gpumodels")
    if full == "before the load":
        RuntimeDirectory(small)
        _fill_disk(small)
        kernel.run(_LOAD.format(engine_name, ""))
    else:
        kernel.begin(_LOAD.format(engine_name, "sleep:1.5"))
        until(lambda: [each for each in RuntimeDirectory(small).instances() if each.leash_lives], 60)
        _fill_disk(small)
    message = kernel.run("print(message)")
    assert "No space left on device" in message
    assert left.instances() == []
    kernel.kill()
    until(lambda: left() == [], WITHIN)


@pytest.mark.root
def test_a_disk_that_is_full_when_the_kernel_dies(engine_name, small, make_kernel):
    kernel = make_kernel()
    kernel.load(engine_name)
    _fill_disk(small)
    kernel.run("assert model(2) == 2")
    kernel.kill()
    until(lambda: _Left(small)() == [], WITHIN)


class _Left:
    """The leftovers in the runtime directory `path`. The fixture `leftovers` knows only the usual directory."""

    def __init__(self, path):
        self._all = Leftovers(path, containers=True)

    def __call__(self):
        return self._all()

    def instances(self):  # without the guards of living kernels
        return [each for each in self._all() if "cleanup.guard" not in each]


@pytest.fixture
def bystanders(runtime, runtime_path, engine_name):
    """Models, files and containers that must survive the kernel: `check()` fails if one was touched."""
    with closing(docker.from_env()) as client, closing(Puppet()) as other:
        found = _Bystanders(runtime, client, other, engine_name)
        yield found
        found.remove()


class _Bystanders:
    def __init__(self, runtime, client, other, engine):
        self._client = client
        self._other = other
        other.do(f"import gpumodels; m = gpumodels.load('echo', gpu='none', engine={engine!r})")
        ours = labels.of_location(runtime.path, runtime.identity)
        self._paths = [self._of_version(runtime, VERSION + 1), self._of_version(runtime, VERSION - 1)]
        self._paths += [self._shared_memory("00000000"), self._not_ours(runtime)]
        self._containers = [
            self._container({}),  # no container of gpumodels
            self._container({**ours, labels.UID: "12345"}),
            self._container({**ours, labels.MACHINE: "another"}),
            self._container({**ours, labels.IDENTITY: "00000000"}),
        ]

    def _of_version(self, runtime, version):
        """Make an instance of another version of gpumodels that nobody seems to hold."""
        path = runtime.path / f"echo-{secrets.token_hex(5)}"
        path.mkdir()
        (path / "lease").write_text("proof")
        (path / "instance.json").write_text(json.dumps({"version": version, "id": path.name}))
        return path

    def _shared_memory(self, identity):
        path = Path(f"/dev/shm/gpumodels-{os.getuid()}/{identity}-echo-{secrets.token_hex(5)}")
        path.mkdir(parents=True)
        return path

    def _not_ours(self, runtime):
        path = runtime.path / "results"
        path.mkdir()
        (path / "of months").write_text("work")
        return path

    def _container(self, given):
        given = {labels.INSTANCE: f"echo-{secrets.token_hex(5)}", **given} if given else {}
        return self._client.containers.create(base_image.made(), ["true"], labels=given)

    def check(self):
        assert self._other.do("m(3)") == 3
        assert [path for path in self._paths if not path.exists()] == []
        for container in self._containers:
            container.reload()

    def remove(self):
        for container in self._containers:
            container.remove(force=True)
        for path in self._paths:
            shutil.rmtree(path)


def test_nothing_of_anybody_else_is_touched(kernel, engine_name, bystanders, runtime):
    kernel.load(engine_name)
    mine = next(each.id for each in runtime.instances() if _owned_by(each, kernel.pid))
    kernel.kill()
    until(lambda: mine not in str(list(runtime.path.iterdir())) and not of_instance(mine), WITHIN)
    bystanders.check()
    assert sweep(runtime)
    bystanders.check()


def _owned_by(directory, pid):
    return (directory.path / "holders" / str(pid)).exists()
