"""Instances with several holders: shared ones end with the last notebook, kept ones with their keeper."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.leftovers import until

WITHIN = 15.0


@pytest.fixture
def notebooks(make_kernel, engine_name):
    """Two notebooks that share an instance."""
    kernels = [make_kernel(), make_kernel()]
    for each in kernels:
        each.load(engine_name, share=True)
    return kernels


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first, then second", "second, then first"])
def test_a_shared_model_ends_with_the_last_of_its_notebooks(order, notebooks, runtime, leftovers):
    assert len(runtime.instances()) == 1
    ended, left = (notebooks[number] for number in order)
    ended.kill()
    until(lambda: not ended.manager.is_alive())
    time.sleep(1.0)  # by then the guard of the dead notebook has swept
    left.run("assert model(2) == 2")
    left.kill()
    leftovers.wait(WITHIN)


def test_a_shared_model_whose_notebooks_die_together(notebooks, leftovers):
    for each in notebooks:
        each.kill()
    leftovers.wait(WITHIN)


def _keepers(leftovers):
    return sorted(int(each.split()[0]) for each in leftovers.processes() if "cleanup.keeper" in each)


def test_a_kept_model_outlives_its_notebook_for_so_long(kernel, engine_name, runtime, leftovers):
    kernel.load(engine_name, keep="4s")
    kernel.kill()
    until(lambda: not kernel.manager.is_alive())
    time.sleep(1.0)
    assert runtime.instances()[0].leash_lives
    leftovers.wait(4 + WITHIN)


def test_a_kept_model_whose_keeper_is_killed_ends_with_its_notebook(kernel, engine_name, leftovers):
    kernel.load(engine_name, keep="forever")
    os.kill(_keepers(leftovers)[0], signal.SIGKILL)
    time.sleep(0.5)
    kernel.run("assert model(2) == 2")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_kept_model_whose_notebook_and_then_keeper_is_killed(kernel, engine_name, runtime, leftovers):
    # The guard has ended by then, and left the instance to the keeper. So the keeper's second process sweeps.
    kernel.load(engine_name, keep="forever")
    kernel.kill()
    until(lambda: not [each for each in leftovers.processes() if "cleanup.guard" in each])
    assert runtime.instances()[0].leash_lives
    os.kill(_keepers(leftovers)[0], signal.SIGKILL)
    leftovers.wait(WITHIN)


def test_a_kept_model_whose_notebook_and_keeper_are_killed_together(kernel, engine_name, leftovers):
    kernel.load(engine_name, keep="forever")
    for pid in [kernel.pid, _keepers(leftovers)[0]]:
        os.kill(pid, signal.SIGKILL)
    leftovers.wait(WITHIN)


def test_a_kept_model_that_sleeps_when_its_notebook_dies(kernel, engine_name, leftovers):
    kernel.load(engine_name, keep="forever")
    kernel.run("model.sleep(); assert model.asleep")
    kernel.kill()
    leftovers.wait(WITHIN)


def test_a_runtime_directory_that_vanishes_with_a_kept_model_in_it(kernel, engine_name, runtime, leftovers):
    # Like the guard, the keeper sweeps what lies outside the runtime directory.
    import shutil

    kernel.load(engine_name, keep="2s")
    shared = Path(runtime.instances()[0].record().shared_memory)
    shutil.rmtree(runtime.path)
    kernel.kill()
    until(lambda: not shared.exists() and leftovers() == [], WITHIN)
