"""The schedulers: which calls run, since when none runs, and for which call `gpumodels.server.cancelled` answers."""

from __future__ import annotations

import gc
import select
import threading
import time
import weakref

import pytest

from gpumodels.protocol import messages
from gpumodels.server import cancelled
from gpumodels.server.calls import Call, Model
from gpumodels.server.scheduler import CallQueue, SerialScheduler, install
from gpumodels.signature import Signature, TensorSpec
from tests.leftovers import until
from tests.slots import TwoSlots


class RecordedCall(Call):
    """A call that records its answer. Its client has left when the test sets `left`."""

    def __init__(self, number=0):
        request = messages.ModelInferRequest(model_name="mine")
        request.inputs.add(name="number", datatype="INT64", shape=[])
        request.raw_input_contents.append(number.to_bytes(8, "little"))
        super().__init__(request, None)
        self.left = False
        self.answers = []
        self.dropped = False

    def gone(self):
        return self.left

    def answer(self, tensors, *, last):
        self.answers.append(int.from_bytes(tensors[0].data, "little"))

    def end(self):
        pass

    def failed(self, failure):
        self.answers.append(failure)

    def drop(self):
        self.dropped = True


class UnsendableCall(RecordedCall):
    """A call for which this process has no memory left: neither answer nor error can be sent."""

    def answer(self, tensors, *, last):
        raise MemoryError

    def failed(self, failure):
        raise MemoryError


def make(kind, predict):
    signature = Signature((TensorSpec("number", "int64", ()),), (TensorSpec("value", "int64", ()),))
    scheduler = kind(Model("mine", predict, signature))
    install(scheduler)
    return scheduler


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(10)
    return found[0]


def test_a_serial_call_runs_before_submit_returns_and_on_the_same_thread():
    threads = []
    scheduler = make(SerialScheduler, lambda number: threads.append(threading.get_ident()) or number)
    call = RecordedCall(7)
    assert scheduler.submit(call)
    assert call.answers == [7]
    assert threads == [threading.get_ident()]
    assert len(scheduler.ended) == len(scheduler.queue) == 0


def test_a_serial_scheduler_is_full_while_its_call_runs_and_idle_from_its_end():
    seen = []

    def predict(number):
        seen.append((scheduler.full, scheduler.running, scheduler.in_flight, scheduler.idle_since))
        time.sleep(0.05)
        return number

    scheduler = make(SerialScheduler, predict)
    before = scheduler.idle_since
    assert (scheduler.full, scheduler.running) == (False, 0)
    scheduler.submit(RecordedCall())
    assert seen == [(True, 1, 1, None)]
    assert (scheduler.full, scheduler.running) == (False, 0)
    assert before + 0.05 <= scheduler.idle_since <= time.monotonic()


@pytest.mark.parametrize("kind", [SerialScheduler, TwoSlots])
def test_a_call_that_gets_neither_answer_nor_error_is_dropped_and_the_next_ones_run(kind):
    scheduler = make(kind, lambda number: number)
    call, after = UnsendableCall(), [RecordedCall(number) for number in range(5)]
    scheduler.submit(call)
    until(lambda: not scheduler.in_flight)
    assert call.dropped
    for each in after:
        scheduler.submit(each)
        until(lambda: not scheduler.in_flight)
    assert [each.answers for each in after] == [[number] for number in range(5)]


def test_every_thread_can_learn_that_a_serial_call_is_cancelled():
    seen = []
    call = RecordedCall()

    def predict(number):
        seen.append((cancelled(), in_a_thread(cancelled)))
        call.left = True
        seen.append((cancelled(), in_a_thread(cancelled)))
        return number

    make(SerialScheduler, predict).submit(call)
    assert seen == [(False, False), (True, True)]
    assert not cancelled()
    assert not in_a_thread(cancelled)


class Two:
    """Two calls that run at the same time. When the test passes `ask`, each records if it is cancelled."""

    def __init__(self):
        self.begun, self.ask, self.found = threading.Barrier(3), threading.Barrier(3), {}
        self.goes = threading.Event()
        self.scheduler = make(TwoSlots, self.predict)
        self.calls = [RecordedCall(0), RecordedCall(1)]
        assert not any(self.scheduler.submit(call) for call in self.calls)
        self.begun.wait(10)

    def predict(self, number):
        self.begun.wait(10)
        self.ask.wait(10)
        self.found[number] = cancelled()
        self.goes.wait(10)
        return number

    def end(self):
        self.goes.set()
        until(lambda: len(self.scheduler.ended) == 2)


@pytest.mark.parametrize("leaves", [0, 1])
def test_each_of_two_calls_learns_only_of_its_own_cancellation_and_other_threads_of_none(leaves):
    two = Two()
    two.calls[leaves].left = True
    assert (two.scheduler.running, two.scheduler.in_flight, two.scheduler.full) == (2, 2, True)
    assert two.scheduler.idle_since is None
    assert not cancelled()
    two.ask.wait(10)
    until(lambda: len(two.found) == 2)
    assert two.found == {leaves: True, 1 - leaves: False}
    two.end()
    assert (two.scheduler.running, two.scheduler.in_flight, two.scheduler.full) == (0, 0, False)
    assert [call.answers for call in two.calls] == [[0], [1]]


def test_a_third_call_waits_until_another_call_ends():
    going = threading.Semaphore(0)
    scheduler = make(TwoSlots, lambda number: going.acquire(timeout=10) and number)
    calls = [RecordedCall(number) for number in range(3)]
    for call in calls:
        scheduler.submit(call)
    until(lambda: scheduler.running == 2)
    assert (scheduler.waiting, scheduler.full) == (1, True)
    scheduler.queue.put(calls[0])
    assert scheduler.waiting == 2
    going.release()
    until(lambda: len(scheduler.ended) == 1)
    until(lambda: scheduler.running == 2)
    assert (scheduler.waiting, scheduler.full) == (1, True)
    going.release(2)
    until(lambda: len(scheduler.ended) == 3)
    assert scheduler.idle_since <= time.monotonic()
    assert [call.answers for call in calls] == [[0], [1], [2]]


def test_a_slot_keeps_no_reference_to_a_call_that_has_ended():
    scheduler = make(TwoSlots, lambda number: number)
    call = weakref.ref(asked := RecordedCall())
    scheduler.submit(asked)
    del asked
    until(lambda: len(scheduler.ended))
    scheduler.ended.take()
    until(lambda: gc.collect() is not None and call() is None)


def test_an_exception_of_the_author_leaves_the_slot_free_for_the_next_call():
    def predict(number):
        raise SystemExit(number)

    scheduler = make(TwoSlots, predict)
    calls = [RecordedCall(number) for number in range(6)]
    for call in calls:
        scheduler.submit(call)
    until(lambda: len(scheduler.ended) == 6)
    assert [str(call.answers[0]) for call in calls] == [f"SystemExit: {number}" for number in range(6)]


def test_a_queue_is_readable_once_for_each_call_and_returns_the_calls_in_order():
    queue = CallQueue()
    calls = [RecordedCall(number) for number in range(3)]
    for call in calls:
        queue.put(call)
    poll = select.poll()
    poll.register(queue.fd, select.POLLIN)
    for call in calls:
        assert poll.poll(0)
        queue.wait()
        assert queue.take() is call
    assert not poll.poll(0)
    assert queue.take() is None


def test_waiting_for_a_queue_ends_with_the_first_call():
    queue, call = CallQueue(), RecordedCall()
    threading.Timer(0.1, queue.put, [call]).start()
    queue.wait()
    assert queue.take() is call
