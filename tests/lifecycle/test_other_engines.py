"""An engine of another package that hangs or fails delays no other engine, and keeps no guard alive."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from gpumodels import cleanup, engines
from gpumodels.lease.processes import of_instance
from tests.leftovers import ROOT, until

ENGINE = """
import time
from gpumodels.engines.fake import FakeEngine
from gpumodels.engines.process import ProcessInstance

class Instance(ProcessInstance):
    def remove(self):
        {trouble}

class SlowEngine(FakeEngine):
    name = "slow"
    cleanup_seconds = 0.5
    unit = "slow instance"

    def attach(self, record, directory):
        return Instance(record, directory)

    def start(self, plan, note):
        super().start(plan, note)
        return self.attach(plan.record, plan.directory)

    def sweep(self, runtime, identity):
        {trouble}
"""
TROUBLES = {"hangs": "time.sleep(600)", "fails": "raise RuntimeError('no such cluster')"}


@pytest.fixture(params=TROUBLES)
def package(request, tmp_path, monkeypatch):
    """The directory in which another package, with an engine `slow`, is installed."""
    place = tmp_path / "site-packages"
    facts = place / "slow_engine-1.0.dist-info"
    facts.mkdir(parents=True)
    (place / "slow_engine.py").write_text(ENGINE.format(trouble=TROUBLES[request.param]))
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-engine\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[gpumodels.engines]\nslow = slow_engine:SlowEngine\n")
    files = ["slow_engine.py", *(f"{facts.name}/{name}" for name in ("METADATA", "entry_points.txt", "RECORD"))]
    (facts / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    importlib.invalidate_caches()
    yield place
    sys.modules.pop("slow_engine", None)


@pytest.fixture
def kernel(package, puppet, runtime):
    """A notebook that has loaded a model with the engine `slow`; nothing of that model is left after the test."""
    made = puppet(env={"PYTHONPATH": os.pathsep.join([str(ROOT), str(package)])}, start_new_session=True)
    made.do("import gpumodels; gpumodels.load('echo', engine='slow', gpu='none')")
    yield made
    made.kill()
    for directory in [*runtime.instances(), *runtime.claimed()]:
        until(lambda directory=directory: not of_instance(directory.id))  # the leash has ended the instance
        shutil.rmtree(directory.path)


def _load(kernel, engine):
    return kernel.do(f"gpumodels.load('echo', engine={engine!r}, gpu='none').record.id")


@pytest.mark.parametrize("engine_name", ["docker", "process"])
def test_the_guard_removes_all_others_and_ends(kernel, engine_name, runtime, leftovers):
    other = _load(kernel, engine_name)
    kernel.kill()
    until(lambda: other not in {each.id for each in [*runtime.instances(), *runtime.claimed()]})
    assert leftovers.containers() == []
    until(lambda: leftovers.processes() == [], within=30)
    assert [each.record().engine for each in runtime.claimed()] == ["slow"]


def test_the_package_may_be_removed_while_its_models_run(kernel, package, runtime, leftovers):
    """Remove the package. The guard has a copy: only its engine can report that the engine's instances have ended."""
    copies = {pid: _python_path(pid) for pid in _guards(leftovers)}
    assert all((path / "slow_engine.py").is_file() for path in copies.values())
    shutil.rmtree(package)
    kernel.kill()
    until(lambda: [each for each in runtime.claimed() if not of_instance(each.id)])
    until(lambda: leftovers.processes() == [], within=30)


def _guards(leftovers):
    return [int(each.split()[0]) for each in leftovers.processes() if "cleanup.guard" in each]


def _python_path(pid):
    """Return the first directory that the process imports from."""
    settings = dict(each.split("=", 1) for each in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in each)
    return Path(settings["PYTHONPATH"].split(os.pathsep)[0])


def test_a_load_by_another_engine_waits_for_none(kernel, runtime):
    kernel.kill()
    until(lambda: [each for each in runtime.instances() if not of_instance(each.id)])
    cleanup.wait_for_endings(runtime, 10)
    (left,) = runtime.claimed()
    assert left.record().engine == "slow"


def test_reap_names_the_engine_that_could_not_be_asked(kernel, runtime):
    kernel.kill()
    until(lambda: [each for each in [*runtime.instances(), *runtime.claimed()] if not of_instance(each.id)])
    reaped = cleanup.reap(within=1.0)
    assert len(reaped.left) == 1
    assert any(text.startswith("slow instances were not looked at. ") for text in reaped.troubles)


def test_it_is_noted_before_its_first_start(kernel, runtime):
    assert runtime.engines() == ["slow"]
    assert engines.engine("slow").unit == "slow instance"
