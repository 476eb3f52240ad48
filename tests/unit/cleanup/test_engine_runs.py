"""Runs of engines' clean-up: deadlines, skipped engines, and the moment when an engine is given up."""

from __future__ import annotations

import threading
import time

import pytest

from gpumodels import engines
from gpumodels.cleanup import engine_runs
from gpumodels.engines.fake import FakeEngine
from gpumodels.errors import EngineError, EngineUnavailable
from tests.leftovers import until


class QuickEngine(FakeEngine):
    name = "quick"
    cleanup_seconds = 0.1


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(engines, "engine", lambda name: QuickEngine())
    monkeypatch.setattr(engine_runs, "_last", {})
    monkeypatch.setattr(engine_runs, "_failing_since", {})
    monkeypatch.setattr(engine_runs, "_GIVE_UP_AFTER", 5)  # half a second


def run(task):
    return engine_runs.run_each({"quick": task})


def fails(error):
    def task(_):
        raise error

    return task


def test_a_run_that_exceeds_its_deadline_and_then_succeeds_is_no_reason_to_give_up():
    go = threading.Event()
    assert run(lambda _: go.wait(10)) == {}
    assert all(run(lambda _: None) == {} for _ in range(5))  # skipped, because the first run goes on
    assert not engine_runs.is_given_up("quick")
    go.set()
    until(lambda: run(lambda _: "done"))
    time.sleep(0.6)
    assert not engine_runs.is_given_up("quick")


def test_an_engine_that_hangs_is_given_up_after_a_time():
    go = threading.Event()
    run(lambda _: go.wait(10))
    assert not engine_runs.is_given_up("quick")
    until(lambda: engine_runs.is_given_up("quick"))
    go.set()
    until(lambda: run(lambda _: None))
    assert not engine_runs.is_given_up("quick")


def test_an_engine_that_fails_is_given_up_after_a_time_and_not_after_a_few_quick_failures():
    for _ in range(5):
        run(fails(EngineError("removal is in progress")))
    assert not engine_runs.is_given_up("quick")
    until(lambda: run(fails(EngineError("no"))) and engine_runs.is_given_up("quick"))


def test_an_unavailable_engine_is_never_given_up():
    for _ in range(8):
        run(fails(EngineUnavailable("Docker is down.")))
        time.sleep(0.1)
    assert not engine_runs.is_given_up("quick")
