"""`SingleFlight`: concurrent callers share one start and one failure; if one gives up, the next one starts."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from gpumodels.client import Ticket
from gpumodels.errors import LoadCancelled, LoadFailed
from gpumodels.model.restarts import SingleFlight
from tests.leftovers import until


class Sleeper:
    """A model that is woken. Each start waits for `may_end`, and then raises `ends_with` if it is set."""

    def __init__(self):
        self.asleep, self.starts = True, 0
        self.flight, self.may_end = SingleFlight(), threading.Event()
        self.ends_with = None

    def start(self):
        self.starts += 1
        assert self.may_end.wait(10)
        if self.ends_with is not None:
            raise self.ends_with
        self.asleep = False

    def wake(self, ticket=None):
        self.flight.run(lambda: self.asleep, self.start, ticket or Ticket())


@pytest.fixture
def sleeper():
    return Sleeper()


def _all_wait(sleeper, pool, callers):
    waiting = [pool.submit(sleeper.wake) for _ in range(callers)]
    until(lambda: sleeper.starts)
    threading.Event().wait(0.1)  # after this time the other threads wait for the lock
    return waiting


def test_all_wait_for_one_start(sleeper):
    with ThreadPoolExecutor(4) as pool:
        waiting = _all_wait(sleeper, pool, 4)
        sleeper.may_end.set()
        assert [each.exception() for each in waiting] == [None] * 4
    assert sleeper.starts == 1


def test_all_waiting_callers_share_one_failure_and_the_next_call_tries_again(sleeper):
    sleeper.ends_with = LoadFailed("no weights")
    with ThreadPoolExecutor(4) as pool:
        waiting = _all_wait(sleeper, pool, 4)
        sleeper.may_end.set()
        errors = [each.exception() for each in waiting]
    assert [str(error) for error in errors] == ["no weights"] * 4
    assert len(set(map(id, errors))) == 4
    assert sleeper.starts == 1
    sleeper.ends_with = None
    sleeper.wake()
    assert sleeper.starts == 2


@pytest.mark.parametrize("why", [CancelledError(), LoadCancelled("stopped")])
def test_a_caller_that_gives_up_leaves_the_start_to_the_next(sleeper, why):
    sleeper.ends_with = why
    with ThreadPoolExecutor(2) as pool:
        waiting = _all_wait(sleeper, pool, 2)
        sleeper.may_end.set()
        errors = [each.exception() for each in waiting]
    assert all(error is why for error in errors)
    assert sleeper.starts == 2


def test_a_ticket_that_was_ended_starts_nothing(sleeper):
    ticket = Ticket()
    ticket.end()
    with pytest.raises(CancelledError):
        sleeper.wake(ticket)
    assert sleeper.starts == 0
