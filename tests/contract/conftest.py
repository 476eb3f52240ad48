"""Fixtures that start instances of echo on every engine, so that one contract is tested on all of them."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpumodels import catalog, engines
from gpumodels.client import Client
from gpumodels.engines import artifacts
from gpumodels.engines.base import Instance, LaunchPlan
from gpumodels.lease.record import InstanceRecord, Owner
from tests.contract import two_slots
from tests.leftovers import Leftovers, until

if TYPE_CHECKING:
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.held import Lease


def quiet(_text, _fraction):
    """Ignore the progress of a load."""


@pytest.fixture(params=["docker", "process", "fake", "two slots"])
def engine_name(request, tmp_path):
    if request.param != "two slots":
        yield request.param
        return
    with two_slots.in_place_of_fake(
        tmp_path
    ) as name:  # the same contract holds for a server that runs two calls at once
        yield name


@pytest.fixture
def engine(engine_name):
    found = engines.engine(engine_name)
    found.check()
    yield found
    if engine_name == "docker":
        found.client.close()


@pytest.fixture
def leftovers(runtime_path):
    return Leftovers(runtime_path, containers=True)


@pytest.fixture
def spec():
    return catalog.find("echo")


@dataclass
class Started:
    """An instance with its directory, its lease, and the references that its engine recorded."""

    instance: Instance
    directory: InstanceDirectory
    lease: Lease
    noted: list

    @property
    def record(self):
        return self.directory.record()

    def call(self, *inputs, **named):
        with closing(Client(self.instance.connector(), "echo")) as client:
            client.wait_ready(time.monotonic() + 30, lambda: None)
            return client.call(inputs, named)

    def wait(self):
        return until(self.instance.ending, within=20)


@pytest.fixture
def start(engine, spec, runtime):
    """A function that starts an instance of echo as a load does. `load` is the behaviour of echo's `load` method."""

    def run(load="", *, grace=1.0, env=None, note=None, **plan):
        instance_id = f"echo-{secrets.token_hex(5)}"
        record = InstanceRecord(
            instance_id, "echo", engine.name, Owner(os.getpid()), time.time(), grace=grace, nonce=secrets.token_hex(8)
        )
        directory, lease = runtime.create(record, engine.instance_user)
        shared = runtime.make_shared_memory(instance_id, engine.instance_user)
        record = replace(record, shared_memory=shared)
        directory.write(record)
        noted = []

        def remember(reference):
            noted.append((reference, Path(directory.path).exists()))
            directory.write(replace(record, engine_ref=reference))

        files = artifacts.of_model(spec, catalog.content_hash(spec), None)
        files |= artifacts.of_instance(record, directory, served=False)
        given = {
            "spec": spec, "record": record, "directory": directory, "runtime_identity": runtime.identity,
            "artifacts": files, "prepared": engine.prepare(spec, "cpu", quiet),
            "env": {"ECHO_LOAD": load, **(env or {})}, **plan,
        }  # fmt: skip
        return Started(engine.start(LaunchPlan(**given), note or remember), directory, lease, noted)

    return run
