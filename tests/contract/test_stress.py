"""Many threads that call one model at once. Some give up or are interrupted; none gets the data of another."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
import zlib
from concurrent.futures import CancelledError

import numpy as np
import pytest

import gpumodels
from gpumodels.errors import CallTimeout
from tests.leftovers import descriptors, until

THREADS, SECONDS = 8, 2.0
DTYPES = ["uint8", "int16", "float16", "int32", "float32", "int64", "float64", "bool"]
SHAPES = [(), (1,), (7, 3), (224, 224, 3), (1000,), (0, 5), (300, 400), (2, 3, 500, 100)]


@pytest.fixture
def collected():
    """Collect the garbage of a test at its end, and not in the middle of the next test."""
    yield
    gc.collect()


@pytest.fixture
def echo(engine_name):
    with gpumodels.load("echo", gpu="none", engine=engine_name) as model:
        yield model


class Caller:
    """A caller with random arrays of its own. It checks that each call returns the array that was sent."""

    def __init__(self, model, number):
        self.model, self.number = model, number
        self.random, self.numbers = random.Random(number), np.random.default_rng(number)
        self.calls = self.given_up = 0
        self.wrong = []

    def value(self):
        shape, dtype = self.random.choice(SHAPES), self.random.choice(DTYPES)
        array = np.frombuffer(self.numbers.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), np.uint8)
        return (array % 2 if dtype == "bool" else array).view(dtype).reshape(shape)

    def until(self, end):
        while time.monotonic() < end:
            value = self.value()
            sent = self.digest(value)
            result = self.ask(value)
            if result is None:
                self.given_up += 1
            elif self.digest(result) != sent:
                self.wrong.append((sent, self.digest(result)))
            self.calls += 1

    @staticmethod
    def digest(array):
        return array.dtype.name, array.shape, zlib.crc32(array.tobytes())

    def ask(self, value):
        return self.model(value, timeout=30)


class Impatient(Caller):
    """A caller with very short timeouts."""

    def ask(self, value):
        try:
            return self.model(value, timeout=self.random.choice([0.0002, 0.001, 0.003, 30]))
        except CallTimeout:
            return None


class Cancelling(Caller):
    """A caller that cancels calls, before or while they run."""

    def ask(self, value):
        future = self.model.submit(value, timeout=30)
        time.sleep(self.random.choice([0, 0, 0.0005, 0.002]))
        if self.random.random() < 0.5:
            future.cancel()
        try:
            return future.result(30)
        except CancelledError:
            return None


class Interrupted(Caller):
    """A caller on the main thread, where a notebook runs its cells. Signals interrupt it at any point of a call."""

    def ask(self, value):
        try:
            self.calling = True
            result = self.model(value, timeout=30)
            self.calling = False
        except KeyboardInterrupt:
            return None
        return result

    def until(self, end):
        self.calling = False
        before = signal.signal(signal.SIGUSR1, self.stop)
        over = threading.Event()
        presser = threading.Thread(target=self.press, args=(over,))
        presser.start()
        super().until(end)
        over.set()
        presser.join()
        signal.signal(signal.SIGUSR1, before)

    def stop(self, *_):
        if self.calling:
            self.calling = False
            raise KeyboardInterrupt

    def press(self, over):
        while not over.wait(self.random.uniform(0.001, 0.01)):
            os.kill(os.getpid(), signal.SIGUSR1)


def run(callers):
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=caller.until, args=(end,)) for caller in callers[1:]]
    for thread in threads:
        thread.start()
    callers[0].until(end)
    for thread in threads:
        thread.join()
    assert [caller.wrong for caller in callers if caller.wrong] == []
    assert all(caller.calls > caller.given_up for caller in callers)


def test_eight_threads_get_back_the_arrays_they_sent(echo):
    run([Caller(echo, number) for number in range(THREADS)])


# Some of the many interrupts come inside `socket.socket()`, so that the garbage collector closes the half-made socket.
# Others come inside finalizers, where Python ignores them. Both give warnings.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
def test_calls_that_end_early_do_not_disturb_others(echo):
    kinds = [Interrupted, Impatient, Cancelling, Impatient, Cancelling, Caller, Caller, Caller]
    callers = [kind(echo, number) for number, kind in enumerate(kinds)]
    before = descriptors()
    run(callers)
    assert sum(caller.given_up for caller in callers) > 0
    lane = echo.attachment.client._transport
    until(lambda: not lane._busy)
    assert len(descriptors() - before) < 8 * 6
    assert echo(1) == 1


def test_forked_processes_get_back_the_arrays_they_sent(echo):
    """Fork children that call the model. A child must use no connection and no memory region of its parent."""
    children = []
    for number in range(3):
        if (child := os.fork()) == 0:
            caller = Caller(echo, number + 100)
            status = 1
            try:
                caller.until(time.monotonic() + SECONDS)
                status = 0 if caller.calls and not caller.wrong else 2
            finally:
                os._exit(status)
        children.append(child)
    run([Caller(echo, 0)])
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
