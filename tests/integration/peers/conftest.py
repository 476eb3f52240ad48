"""Fixtures: models that another process loads and serves by TCP, and clients of tritonclient."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import tritonclient.grpc as triton

from gpumodels.model.endpoint import Endpoint
from tests.leftovers import Leftovers, Puppet

_LOAD = "model = gpumodels.load({!r}, gpu='none', engine={!r}, serve='127.0.0.1:0')"

#: A model with a declared signature of several shapes and types.
TYPED = """
import numpy as np
class Model:
    def load(self, device): pass
    def predict(self, image, names, half, flags, scale=1.0):
        names = [name.upper() for name in names]
        return {"total": float(image.sum() * scale), "names": names, "half": half * 2, "flags": ~flags}
"""
TYPED_TOML = """
name = "typed"
summary = "One of every kind"
licence = "BSD-3-Clause"
entry = "model:Model"

[requirements]
cpu = ["numpy>=1.26"]
gpu = ["numpy>=1.26"]

[[inputs]]
name = "image"
dtype = "uint8"
shape = ["H", "W", 3]

[[inputs]]
name = "names"
dtype = "str"
shape = ["N"]

[[inputs]]
name = "half"
dtype = "float16"
shape = [2, 2]

[[inputs]]
name = "flags"
dtype = "bool"
shape = ["F"]

[[inputs]]
name = "scale"
dtype = "float64"
shape = []
optional = true

[[outputs]]
name = "total"
dtype = "float64"
shape = []

[[outputs]]
name = "names"
dtype = "str"
shape = ["N"]

[[outputs]]
name = "half"
dtype = "float16"
shape = [2, 2]

[[outputs]]
name = "flags"
dtype = "bool"
shape = ["F"]
"""

#: A model that gives several answers to one call.
COUNTING = """
class Model:
    def load(self, device): pass
    def predict(self, upto: int):
        for number in range(upto):
            yield number
        if upto > 3:
            raise ValueError("too far")
"""


@dataclass
class Served:
    """A model that another process loaded and serves."""

    holder: Puppet
    endpoint: Endpoint
    engine: str

    def client(self):
        """Return a client of tritonclient that sends the token."""
        client = triton.InferenceServerClient(self.endpoint.address)
        client.register_plugin(self.endpoint)
        return client


def served(directory, model, engine):
    """Load and serve the model in another process, yield it, and check that its end leaves nothing."""
    runtime = directory / "run"
    holder = Puppet(env={"GPUMODELS_RUNTIME_DIR": str(runtime)})
    try:
        holder.do("import gpumodels")
        holder.do(_LOAD.format(str(model), engine))
        endpoint = Endpoint(holder.do("model.name"), *holder.do("(model.endpoint.address, model.endpoint.token)"))
        yield Served(holder, endpoint, engine)
        holder.do("model.stop()")
    finally:
        holder.close()
        Leftovers(runtime, containers=True).wait(within=20)
        shutil.rmtree(directory)


@pytest.fixture(scope="module", params=["docker", "process"])
def echo(request, tmp_path_factory):
    """The served model echo, for tests that do not change it."""
    yield from served(tmp_path_factory.mktemp("echo"), "echo", request.param)


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A served model with a declared signature."""
    yield from served(tmp_path_factory.mktemp("typed"), folder(tmp_path_factory, "typed", TYPED, TYPED_TOML), "fake")


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A served model with a `predict` that yields."""
    toml = TYPED_TOML.partition("[[inputs]]")[0].replace("typed", "counting")
    made = folder(tmp_path_factory, "counting", COUNTING, toml)
    yield from served(tmp_path_factory.mktemp("served"), made, "fake")


def folder(tmp_path_factory, name, code, toml):
    """Make a model folder and return it."""
    made = tmp_path_factory.mktemp("models") / name
    made.mkdir()
    (made / "model.py").write_text(code)
    (made / "model.toml").write_text(toml)
    return made


@pytest.fixture
def client(echo):
    with echo.client() as client:
        yield client


def value(array, datatype, name="value"):
    """Return an input of tritonclient with the array."""
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def forwarders(directory):
    """Return the ids of the forwarders to instances in that runtime directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"gpumodels.engines.forward" in command and os.fsencode(directory) in command:
                found.append(int(entry.name))
    return found
