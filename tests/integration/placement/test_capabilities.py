"""Capabilities of engines: a load depends on what an engine declares, not on its name."""

from __future__ import annotations

import pytest

from gpumodels import devices, engines
from gpumodels.engines.fake import FakeEngine
from gpumodels.errors import EngineUnavailable
from tests.fakes.nvml import gpu


class CloudEngine(FakeEngine):
    """An engine that chooses GPUs itself. Its instances see no files of this machine except their sockets."""

    name = "cloud"
    sees_files = False
    places_itself = True
    place = "the cloud"


class ClosedEngine(FakeEngine):
    """An engine that cannot be used now."""

    name = "closed"

    def check(self):
        raise EngineUnavailable("It is closed today.")


@pytest.fixture(autouse=True)
def _engines(monkeypatch):
    added = {each.name: each for each in (CloudEngine, ClosedEngine)}
    real = engines.engine
    monkeypatch.setattr(engines, "engine", lambda name: added[name]() if name in added else real(name))


@pytest.mark.parametrize("asked", ["auto:2", 7, "none"])
def test_an_engine_that_places_itself_is_not_given_gpus_of_this_machine(asked, build, folder, load, monkeypatch):
    build(gpu())
    monkeypatch.setattr(devices, "select", lambda *_, **__: pytest.fail("this machine's GPUs were chosen from"))
    model = load(folder(), gpu=asked, engine="cloud")
    assert model.record.devices == ()
    assert model()["CUDA_VISIBLE_DEVICES"] == ""


def test_instances_that_see_no_files_get_no_shared_memory(build, folder, load, leftovers):
    build()
    model = load(folder(), gpu="none", engine="cloud")
    assert model.record.shared_memory == ""
    assert leftovers.shared_memory() == []
    assert model()["device"] == "cpu"


def test_auto_falls_back_to_the_engine_that_an_unavailable_one_names(build, folder, load, notices, monkeypatch):
    build()
    monkeypatch.setattr(engines, "FIRST", "closed")
    monkeypatch.setattr(ClosedEngine, "fallback", "cloud")
    model = load(folder(), gpu="none", engine="auto", report=notices)
    assert model.record.engine == "cloud"
    assert "teller runs in the cloud. It is closed today." in notices.lines


def test_auto_does_not_fall_back_from_an_engine_that_names_none(build, folder, load, monkeypatch):
    build()
    monkeypatch.setattr(engines, "FIRST", "closed")
    with pytest.raises(EngineUnavailable, match="closed today"):
        load(folder(), gpu="none", engine="auto")
