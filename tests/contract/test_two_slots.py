"""Two calls of a user at once, on a model server that runs both."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, wait

import pytest

import gpumodels
from gpumodels.client import read_activity
from gpumodels.errors import ModelGone
from tests.leftovers import until

pytestmark = pytest.mark.parametrize("engine_name", ["two slots"], indirect=True)


@pytest.fixture
def load(engine_name):
    loaded = []

    def run(**options):
        loaded.append(gpumodels.load("echo", gpu="none", engine=engine_name, **options))
        return loaded[-1]

    yield run
    for model in loaded:
        model.stop()


def calls(model):
    """Return the numbers of running and of waiting calls, as the server reports them."""
    activity = read_activity(model.attachment.instance.connector(), "echo", 10)
    return activity.running, activity.waiting


def test_two_calls_of_a_handle_run_while_a_third_waits(load):
    model = load()
    running = [model.submit(number, sleep=1.0) for number in range(3)]
    until(lambda: calls(model) == (2, 1))
    assert [each.result(30) for each in running] == [0, 1, 2]
    until(lambda: calls(model) == (0, 0))


def test_a_crash_in_one_call_ends_both_with_the_end_of_the_log(load):
    model = load()
    other = model.submit(1, sleep=30.0)
    until(lambda: calls(model) == (1, 0))
    crashes = model.submit(2, sleep=0.3, crash="exit")
    for call in (other, crashes):
        with pytest.raises(ModelGone, match="exit code 9") as caught:
            call.result(30)
        assert "echo: load on cpu" in str(caught.value)


@pytest.mark.parametrize("first", [0, 1])
def test_cancelling_a_future_does_not_end_the_other_call(load, first):
    model = load()
    running = []
    for number in range(2):
        running.append(model.submit(number, sleep=2.0))
        until(lambda: calls(model) == (len(running), 0))
    running[first].cancel()
    until(lambda: calls(model) == (1, 0))
    assert model.logs().count("echo: cancelled while asleep") == 1
    with pytest.raises(CancelledError):
        running[first].result()
    assert running[1 - first].result(30) == 1 - first


def test_sleep_waits_for_the_calls_of_both_slots(load):
    model = load()
    running = [model.submit(number, sleep=0.3 + 0.5 * number) for number in range(2)]
    until(lambda: calls(model) == (2, 0))
    model.sleep()
    assert all(each.done() for each in running)
    assert [each.result() for each in running] == [0, 1]
    assert model.asleep


def test_the_idle_time_does_not_pass_while_one_slot_is_busy(load):
    model = load(idle=0.3)
    running = model.submit(1, sleep=2.0)
    time.sleep(1.5)
    assert not model.asleep
    wait([running])
    assert running.result() == 1
    until(lambda: model.asleep)
    assert model(2) == 2
