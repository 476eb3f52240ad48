"""Kept models: they outlive their notebook for a time. Until then the next load of the same model can reuse them."""

from __future__ import annotations

import math
import os
import signal
import time

import pytest

import gpumodels
from gpumodels.instances import holders_of, read_overview, stop_instance, this_process
from gpumodels.magics.listing import Listing
from tests.leftovers import until


@pytest.fixture
def kept(puppet):
    """A function that starts a process which loads echo with `keep`, and kills it."""

    def make(keep="60s", engine="fake", *, die=True, **options):
        other = puppet()
        load_options = {"engine": engine, "gpu": "none", "keep": keep, **options}
        other.do(f"import gpumodels; m = gpumodels.load('echo', **{load_options!r})")
        other.instance = other.do("m.record.id")
        if die:
            other.kill()
        return other

    return make


@pytest.fixture(autouse=True)
def _end_what_is_kept():
    yield
    for record in gpumodels.running():
        stop_instance(record.id)


def _load(**options):
    return gpumodels.load("echo", **{"engine": "fake", "gpu": "none", **options})


def _ids():
    return [record.id for record in gpumodels.running()]


def test_a_kept_model_outlives_its_notebook_for_the_given_time_and_leaves_nothing(kept, engine_name, leftovers):
    gone = kept("2s", engine_name)
    time.sleep(0.5)
    assert _ids() == [gone.instance]
    leftovers.wait(within=15)


def test_the_next_load_of_the_same_reuses_it(kept, engine_name):
    gone = kept(engine=engine_name)
    with _load(engine=engine_name) as model:
        assert model.record.id == gone.instance
        assert _ids() == [gone.instance]
        assert model(1) == 1


def test_the_time_begins_again_when_a_reused_model_is_left(kept, puppet, leftovers):
    gone = kept("2s")
    other = puppet()
    other.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none')")
    assert other.do("m.record.id") == gone.instance
    time.sleep(2.5)
    assert other.do("m(1)") == 1
    other.kill()
    time.sleep(1)
    assert _ids() == [gone.instance]
    leftovers.wait(within=15)


def test_two_loads_at_once_reuse_the_same_instance(kept, puppet):
    gone = kept()
    both = [puppet(), puppet()]
    for each in both:
        each.do("import gpumodels; import gpumodels.loading.loader, gpumodels.client")
    for each in both:
        each.tell("m = gpumodels.load('echo', engine='fake', gpu='none')")
    for each in both:
        each.answer()
    assert {each.do("m.record.id") for each in both} == {gone.instance}


def test_two_loads_at_once_that_keep_get_one_instance(puppet):
    both = [puppet(), puppet()]
    for each in both:
        each.do("import gpumodels; import gpumodels.loading.loader, gpumodels.client")
    for each in both:
        each.tell("m = gpumodels.load('echo', engine='fake', gpu='none', keep='1m')")
    for each in both:
        each.answer()
    assert len(_ids()) == 1


def test_a_kept_model_is_shown_with_its_owner_and_since_when(kept, runtime):
    before = time.time()
    gone = kept()
    (record,) = gpumodels.running()
    assert record.state == "kept"
    assert record.owner.pid == gone.pid
    assert until(lambda: runtime.directory(gone.instance).kept_since) >= before
    assert gpumodels.running()[0].kept_since >= before
    assert "kept since " in repr(Listing(read_overview(measured=False), this_process()))
    with _load() as model:
        assert model.record.state == gpumodels.running()[0].state == "ready"


def test_a_model_is_not_shown_as_kept_while_its_notebook_lives(kept):
    kept(die=False)
    assert gpumodels.running()[0].state == "ready"


def test_a_kept_model_that_is_stopped_from_elsewhere_ends_at_once(kept, engine_name, leftovers):
    gone = kept("forever", engine_name)
    stop_instance(gone.instance, by="the command line")
    assert _ids() == []
    leftovers.wait()


def test_a_kept_model_that_its_own_notebook_stops_ends_at_once(engine_name, leftovers):
    model = _load(engine=engine_name, keep="forever")
    model.stop()
    assert _ids() == []
    with pytest.raises(gpumodels.ModelStopped):
        model(1)
    until(lambda: leftovers.directories() == leftovers.containers() == leftovers.shared_memory() == [])


def test_a_kept_model_that_one_of_two_notebooks_stops_goes_on_for_the_other(kept):
    other = kept(die=False)
    with _load() as model:
        assert model.record.id == other.instance
    assert other.do("m(1)") == 1
    assert _ids() == [other.instance]


def test_a_kept_model_that_sleeps_leaves_nothing_and_is_kept_when_it_wakes(leftovers):
    model = _load(keep="forever")
    model.sleep()
    assert model.asleep
    until(lambda: leftovers.directories() == leftovers.shared_memory() == [])
    assert model(1) == 1
    assert [record.keep for record in gpumodels.running()] == [math.inf]
    model.stop()


def test_a_kept_model_that_nobody_calls_sleeps(kept, leftovers):
    kept("60s", idle="1s")
    leftovers.wait(within=15)


def test_when_the_keeper_is_killed_too_nothing_is_left(kept, runtime, leftovers):
    other = kept("forever", die=False)
    directory = runtime.directory(other.instance)
    (keeper,) = {each.pid for each in holders_of(directory)} - {other.pid}
    os.kill(keeper, signal.SIGKILL)
    assert other.do("m(1)") == 1
    other.kill()
    leftovers.wait(within=15)


def test_a_reused_model_is_kept_again_when_it_wakes(kept):
    kept("50s")
    with _load() as model:
        model.sleep()
        assert model(1) == 1
        assert model.record.keep == 50


def test_a_load_that_reuses_it_may_keep_it_for_longer(kept):
    kept("2s", die=False)
    other = kept("60s")
    assert [record.keep for record in gpumodels.running()] == [60]
    time.sleep(3)
    assert _ids() == [other.instance]


def test_a_shared_model_is_kept_if_one_of_its_loads_asks_for_it(kept, puppet):
    first = puppet()
    first.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none')")
    second = kept("60s", share=True, die=False)
    assert first.do("m.record.id") == second.instance
    first.kill()
    second.kill()
    assert _ids() == [second.instance]
    assert gpumodels.running()[0].state == "kept"


def test_a_running_model_is_kept_when_a_second_load_asks_for_it(puppet):
    other = puppet()
    other.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none')")
    other.do("again = gpumodels.load('echo', engine='fake', gpu='none', keep='60s', in_place_of=m)")
    assert other.do("again is m")
    other.kill()
    assert [record.state for record in gpumodels.running()] == ["kept"]


@pytest.mark.parametrize("keep", ["soon", 0, -1, "", True, "never"])
def test_an_invalid_time_is_refused(keep):
    with pytest.raises(gpumodels.LoadRefused, match="echo: keep must be a time such as"):
        _load(keep=keep)


def test_a_restarted_kernel_reuses_it(kernel, engine_name):
    line = f"%load_model echo --gpu none --engine {engine_name} --keep 60s"
    kernel.run(f"%load_ext gpumodels\n{line}")
    first = kernel.run("print(echo.record.id)")
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(60)
    kernel.run(f"%load_ext gpumodels\n{line}")
    assert kernel.run("print(echo.record.id, echo(1))") == f"{first} 1"
