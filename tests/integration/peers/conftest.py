"""Models that are served by TCP, loaded by another process, and the clients that others would use."""

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

#: A model that takes one of everything, so that shapes and types of a declared signature are met as well.
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
    """A model that a process of its own loaded and serves."""

    holder: Puppet
    endpoint: Endpoint
    engine: str

    def client(self):
        """tritonclient's, which shows the token."""
        client = triton.InferenceServerClient(self.endpoint.address)
        client.register_plugin(self.endpoint)
        return client


def served(place, model, engine):
    """Load the model in another process; its end is looked after."""
    runtime = place / "run"
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
        shutil.rmtree(place)


@pytest.fixture(scope="module", params=["docker", "process"])
def echo(request, tmp_path_factory):
    """echo, for tests that leave it as it was."""
    yield from served(tmp_path_factory.mktemp("echo"), "echo", request.param)


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A model with a declared signature."""
    yield from served(tmp_path_factory.mktemp("typed"), folder(tmp_path_factory, "typed", TYPED, TYPED_TOML), "fake")


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A model whose predict yields."""
    toml = TYPED_TOML.partition("[[inputs]]")[0].replace("typed", "counting")
    made = folder(tmp_path_factory, "counting", COUNTING, toml)
    yield from served(tmp_path_factory.mktemp("served"), made, "fake")


def folder(tmp_path_factory, name, code, toml):
    """A model folder."""
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
    """An input of tritonclient's."""
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def forwarders(directory):
    """The processes that forward to an instance in that runtime directory."""
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
