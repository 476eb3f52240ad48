"""Idle models sleep to free their memory, and the next call wakes them: no call is cut, lost or repeated."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import gpumodels
from gpumodels import errors
from gpumodels.instances.registry import stop_instance
from gpumodels.lease import events
from gpumodels.model import attachment
from tests.leftovers import descriptors, until

TALLY = """
import os
class Model:
    def load(self, device):
        if os.path.exists(os.environ["TALLY"] + ".broken"):
            raise RuntimeError("the weights are gone")
    def predict(self, key: str) -> str:
        with open(os.environ["TALLY"], "a") as file:
            file.write(key + "\\n")
        return key
"""
STREAM = """
class Model:
    def load(self, device): pass
    def predict(self, count: int):
        for number in range(count):
            yield {"number": number}
"""


@pytest.fixture
def load():
    loaded = []

    def make(model="echo", engine="fake", **options):
        loaded.append(gpumodels.load(model, engine=engine, gpu="none", **options))
        return loaded[-1]

    yield make
    for model in loaded:
        model.stop()


@pytest.fixture
def folder(tmp_path):
    def make(code, name="counter"):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        (path / "model.toml").write_text(f'name = "{name}"\n')
        (path / "model.py").write_text(code)
        return path

    return make


@pytest.fixture
def event_texts(runtime_path):
    """A function that returns the texts of all events of a kind."""
    return lambda kind: [each["text"] for each in events.read(runtime_path) if each["event"] == kind]


def _wait_until_asleep(model):
    return until(lambda: model.asleep, within=20)


def test_an_idle_model_sleeps_and_the_next_call_wakes_it(load, engine_name, leftovers, event_texts):
    model = load(engine=engine_name, idle=0.3)
    assert model(1) == 1
    first = model.record.id
    _wait_until_asleep(model)
    until(lambda: leftovers.directories() == leftovers.containers() == leftovers.shared_memory() == [])
    assert not model.alive
    assert repr(model).startswith(f"<Model echo on CPU, {engine_name}, asleep since ")
    assert gpumodels.running() == []
    until(lambda: event_texts("asleep"))
    assert model(2) == 2
    assert model.record.id != first
    assert repr(model) == f"<Model echo on CPU, {engine_name}, ready>"
    (line,) = event_texts("awake")
    assert line.startswith("echo is awake again on CPU, in ")


def test_the_log_of_a_sleeping_model_mentions_its_sleep(load):
    model = load(idle=0.2)
    _wait_until_asleep(model)
    until(lambda: "gpumodels: echo is asleep since" in model.logs())
    assert "gpumodels: echo falls asleep after 0 s without a call" in model.logs()


def test_a_sleep_that_the_notebook_notices_late_is_not_taken_for_a_death(load, monkeypatch):
    model = load(idle=0.2)
    slept = model.attachment
    monkeypatch.setattr(attachment, "_EVENT_WITHIN", 0.0)
    server_ended = slept.server_ended
    monkeypatch.setattr(slept, "server_ended", lambda **named: (time.sleep(1), server_ended(**named)))
    until(lambda: not slept.lease.leash_lives)
    assert model(1) == 1


def test_calls_of_eight_threads_around_the_idle_time_are_never_lost_or_repeated(load, folder, tmp_path, event_texts):
    tally = tmp_path / "tally"
    model = load(folder(TALLY), idle=0.1, env={"TALLY": str(tally)})
    rounds, drawn, pauses = 25, random.Random(9), []
    together = threading.Barrier(8, lambda: pauses.append(drawn.gauss(0.13, 0.02)))

    def call(caller):
        own = random.Random(caller)
        for number in range(rounds):
            together.wait(60)
            time.sleep(max(0.0, pauses[-1] + own.gauss(0, 0.004)))
            assert model(f"{caller}-{number}") == f"{caller}-{number}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    ran = tally.read_text().split()
    assert len(ran) == len(set(ran)) == 8 * rounds
    assert len(event_texts("asleep")) > 3


def test_a_call_in_flight_keeps_the_model_awake(load):
    model = load(idle=0.2)
    assert model(1, sleep=1.5) == 1
    assert not model.asleep


def test_sleep_waits_for_the_calls_that_run(load):
    model = load()
    running = [model.submit(number, sleep=0.5) for number in range(3)]
    time.sleep(0.2)
    model.sleep()
    assert model.asleep
    assert [each.result() for each in running] == [0, 1, 2]


def test_an_interrupted_sleep_does_not_come_later(load):
    model = load()
    running = model.submit(1, sleep=1)
    time.sleep(0.2)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        model.sleep()
    assert not running.done()
    assert running.result() == 1
    time.sleep(0.3)
    assert model.alive
    assert not model.asleep


def test_putting_a_shared_model_to_sleep_waits_for_the_calls_of_this_notebook(load, puppet):
    model = load(share=True)
    other = puppet()
    other.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none', share=True)")
    running = [model.submit(number, sleep=0.4) for number in range(3)]
    time.sleep(0.1)
    model.sleep()
    assert model.asleep
    assert [each.result() for each in running] == [0, 1, 2]
    assert other.do("m(5)") == 5
    assert model(6) == 6
    assert len(gpumodels.running()) == 1  # it is shared again
    other.do("m.stop()")


def test_calls_and_sleeps_at_once_raise_no_error(load):
    model = load()
    end = time.monotonic() + 4

    def call(number):
        made = 0
        while time.monotonic() < end:
            made += 1
            assert model(number, sleep=0.01) == number
        return made

    def sleep():
        while time.monotonic() < end:
            model.sleep()
            time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, number) for number in range(3)]
        sleeps = pool.submit(sleep)
        assert min(each.result() for each in calls) > 0
        sleeps.result()


def test_a_crash_of_a_server_that_was_about_to_sleep_is_a_death(load, puppet, folder, tmp_path, monkeypatch):
    # One process that shares the model is stopped, so the server waits for its answer. Meanwhile a call kills the
    # server.
    tally = tmp_path / "tally"
    code = TALLY.replace("        return key", "        if key == 'kill': os._exit(9)\n        return key")
    path = folder(code)
    other = puppet()
    other.do("import gpumodels, gpumodels.model, gpumodels.engines.fake")
    model = load(path, idle=3, env={"TALLY": str(tally)}, share=True)
    about_to_sleep = threading.Event()
    monkeypatch.setattr(model.attachment, "about_to_sleep", about_to_sleep.set)
    other.do(
        f"m = gpumodels.load({str(path)!r}, engine='fake', gpu='none', share=True, env={{'TALLY': {str(tally)!r}}})"
    )
    os.kill(other.pid, signal.SIGSTOP)
    try:
        assert about_to_sleep.wait(30)  # now the server waits for the stopped process
        with pytest.raises(gpumodels.ModelGone, match="died"):
            model("kill")
    finally:
        os.kill(other.pid, signal.SIGCONT)
    assert tally.read_text().split() == ["kill"]
    assert not model.asleep


def test_calls_while_a_model_wakes_wait_for_one_load(load, event_texts):
    model = load()
    model.sleep()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(model, range(8))) == list(range(8))
    assert len(event_texts("awake")) == len(gpumodels.running()) == 1


def test_every_kind_of_call_wakes_a_model(load, folder):
    model = load()
    ways = [
        lambda: model.submit(1).result() == 1,
        lambda: list(model.map(range(9))) == list(range(9)),
        lambda: asyncio.run(model.acall(1)) == 1,
        lambda: list(model.stream(1)) == [1],
        lambda: model.empty("value", (2,), "float32").shape == (2,),
        lambda: model.wake() is None and model.alive,
    ]
    for way in ways:
        model.sleep()
        assert model.asleep
        assert way()
    streamer = load(folder(STREAM, "streamer"))
    streamer.sleep()
    assert list(streamer.stream(3)) == streamer(3) == [{"number": number} for number in range(3)]


def test_loading_a_sleeping_model_again_wakes_it(load):
    model = load()
    model.sleep()
    assert load(in_place_of=model, idle="5m") is model
    assert model.alive
    assert model.record.idle == 300


def test_a_wake_that_fails_raises_in_all_waiting_calls_and_the_model_sleeps_on(load, folder, tmp_path):
    tally = tmp_path / "tally"
    model = load(folder(TALLY), env={"TALLY": str(tally)})
    model.sleep()
    broken = tmp_path / "tally.broken"
    broken.touch()
    with ThreadPoolExecutor(4) as pool:
        errors = [each.exception() for each in [pool.submit(model, "x") for _ in range(4)]]
    assert {type(error) for error in errors} == {gpumodels.LoadFailed}
    assert model.asleep
    assert gpumodels.running() == []
    broken.unlink()
    assert model("y") == "y"
    assert tally.read_text().split() == ["y"]


def test_a_folder_that_was_broken_while_its_model_slept_raises_model_folder_error(load, folder):
    path = folder(STREAM)
    model = load(path)
    model.sleep()
    (path / "model.toml").write_text("name = 3\n")
    with pytest.raises(errors.ModelFolderError, match="name"):
        model(1)
    assert model.asleep
    folder(STREAM)
    assert model(1) == [{"number": 0}]


def test_a_relative_path_means_the_same_folder_when_it_wakes_elsewhere(load, folder, tmp_path, monkeypatch):
    folder(STREAM)
    monkeypatch.chdir(tmp_path)
    model = load("./counter")
    model.sleep()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert model(1) == [{"number": 0}]


def test_a_cancelled_call_ends_the_wake_it_began(load, leftovers):
    model = load(env={"ECHO_LOAD": "sleep:1"})
    model.sleep()
    waiting = model.submit(1)
    until(gpumodels.running)
    waiting.cancel()
    until(lambda: leftovers.directories() == [])
    assert model.asleep
    assert model(2) == 2


def test_stopping_a_model_while_it_wakes_leaves_nothing(load, leftovers):
    model = load(env={"ECHO_LOAD": "sleep:0.5"})
    model.sleep()
    waiting = model.submit(1)
    until(gpumodels.running)
    model.stop()
    with pytest.raises(gpumodels.ModelStopped):
        waiting.result()
    until(lambda: leftovers.directories() == [])


def test_a_load_that_is_stopped_from_elsewhere_raises_load_failed(load, leftovers):
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, env={"ECHO_LOAD": "sleep:30"})
        (record,) = until(gpumodels.running)
        until(lambda: gpumodels.running()[0].engine_ref)
        stop_instance(record.id, "the command line")
        with pytest.raises(gpumodels.LoadFailed, match=r"echo was stopped from the command line at .*, while"):
            loading.result()
    assert leftovers.directories() == []


def test_a_model_that_is_stopped_while_it_sleeps_stays_stopped(load):
    model = load()
    model.sleep()
    model.stop()
    with pytest.raises(gpumodels.ModelStopped, match=r"It was asleep since \d\d:\d\d\. Load it again"):
        model(1)
    with pytest.raises(gpumodels.ModelStopped):
        model.wake()
    assert model.sleep() is not None


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        ({}, 3600),
        ({"idle": "never"}, None),
        ({"keep": "5m"}, 3600),
        ({"keep": "2h"}, 7200),
        ({"keep": "2h", "idle": "10m"}, 600),
        ({"keep": "forever"}, None),
        ({"keep": "forever", "idle": "10m"}, 600),
    ],
)
def test_the_idle_time_is_an_hour_by_default(load, options, idle):
    assert load(**options).record.idle == idle


def test_the_idle_setting_is_read_in_the_notebook_and_not_by_the_server(load, folder, monkeypatch):
    monkeypatch.setenv("GPUMODELS_IDLE", "10m")
    code = """
import os
class Model:
    def load(self, device): pass
    def predict(self) -> dict:
        return {"found": [name for name in os.environ if name == "GPUMODELS_IDLE"]}
"""
    path = folder(code)
    assert load(path).record.idle == 600
    model = load(path, idle="never")
    assert model.record.idle is None
    assert model() == {"found": []}
    with pytest.raises(gpumodels.LoadRefused, match="GPUMODELS_IDLE"):
        load(path, env={"GPUMODELS_IDLE": "1"})


@pytest.mark.parametrize("idle", ["soon", 0, -1, "", [], True])
def test_an_invalid_idle_time_is_refused(load, idle):
    with pytest.raises(gpumodels.LoadRefused, match=r"echo: idle must be a time such as"):
        load(idle=idle)


def test_a_model_sleeps_while_its_kernel_is_busy_in_c(kernel, engine_name, leftovers):
    kernel.run(f"import gpumodels; m = gpumodels.load('echo', engine={engine_name!r}, gpu='none', idle=1.0)")
    kernel.begin("import ctypes; ctypes.PyDLL(None).sleep(8)")
    until(lambda: gpumodels.running() == [], within=7)
    assert kernel.run("print(m(1), m.asleep)") == "1 False"


def test_it_sleeps_while_the_kernel_is_stopped(kernel, engine_name):
    kernel.run(f"import gpumodels; m = gpumodels.load('echo', engine={engine_name!r}, gpu='none', idle=1.0)")
    os.kill(kernel.pid, signal.SIGSTOP)
    try:
        until(lambda: gpumodels.running() == [], within=10)
    finally:
        os.kill(kernel.pid, signal.SIGCONT)
    assert kernel.run("print(m(1))") == "1"


def test_a_kernel_that_dies_with_a_model_asleep_leaves_nothing(kernel, engine_name, leftovers):
    kernel.run(f"import gpumodels; m = gpumodels.load('echo', engine={engine_name!r}, gpu='none'); m.sleep()")
    os.kill(kernel.pid, signal.SIGKILL)
    leftovers.wait()


def test_a_forked_child_cannot_wake_a_model_of_its_parent(load):
    model = load()
    model.sleep()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            model(1)
        except gpumodels.ModelGone as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert b"sleeps until that process calls it" in os.read(read, 1000)
    os.close(read)
    os.close(write)
    assert model.asleep
    assert model(1) == 1


def test_sleeping_and_waking_again_and_again_leaves_no_descriptor_and_no_thread(load):
    model = load()

    def cycle():
        model.sleep()
        model(1)

    cycle()
    until(lambda: not [each for each in threading.enumerate() if each.name == "gpumodels end"])
    before, threads = descriptors(), threading.active_count()
    for _ in range(8):
        cycle()
    until(lambda: len(descriptors()) <= len(before) and threading.active_count() <= threads)
