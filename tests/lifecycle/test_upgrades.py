"""Processes that imported an older gpumodels, or start its modules by their old names, still work after an upgrade."""

from __future__ import annotations

import os

import pytest

from tests.leftovers import ROOT, until

#: A process of an older version has its own modules of these packages loaded, without the names of this version.
OLDER = """
import sys, types
for name in ("gpumodels.manager", "gpumodels.lease"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [{root!r} + "/" + name.replace(".", "/")]
from gpumodels.manager import sweeping
"""


def test_an_older_guard_finds_the_sweep_by_its_old_name(puppet, runtime, leftovers):
    kernel = puppet(start_new_session=True)
    kernel.do("import gpumodels; model = gpumodels.load('echo', engine='fake', gpu='none')")
    kernel.do("from gpumodels.lease import guard")
    (its_guard,) = kernel.do("[each.pid for each in guard._guards.values()]")
    os.killpg(its_guard, 9)
    kernel.kill()
    older = puppet(cwd="/")
    older.do(OLDER.format(root=str(ROOT)))
    older.do(f"runtime = types.SimpleNamespace(path={str(runtime.path)!r}, identity={runtime.identity!r})")
    assert until(lambda: older.do(f"sweeping.sweep(runtime, of_process={kernel.pid})")) is True
    assert leftovers.directories() + leftovers.shared_memory() == []


@pytest.mark.parametrize("module", ["guard", "keeper"])
def test_an_older_kernel_starts_guard_and_keeper_by_their_old_names(module, puppet):
    new = puppet()
    new.do(f"import gpumodels.manager.{module} as old, gpumodels.cleanup.{module} as new")
    assert new.do("old.main is new.main")


def test_a_jupyter_server_asks_kernels_of_any_version_by_the_old_names(puppet):
    kernel = puppet()
    kernel.do("import gpumodels; model = gpumodels.load('echo', engine='fake', gpu='none')")
    kernel.do("_ = model.sleep()")
    kernel.do("__import__('gpumodels.manager', fromlist=['_']).sleepers.wake_here(model.record.id)")
    until(lambda: kernel.do("model.alive"))
    kernel.do("__import__('gpumodels.manager', fromlist=['_']).stop_instance(model.record.id, by='the sidebar')")
    assert kernel.do("model.alive") is False
