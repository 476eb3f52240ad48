"""Several instances behind one handle: each call runs once, even if instances die, sleep or are stopped."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

import gpumodels
from gpumodels import errors, instances
from gpumodels.instances import registry
from gpumodels.lease.processes import of_instance
from gpumodels.model import replica
from tests.leftovers import until

MODEL = """
import os, time
class Model:
    def load(self, device):
        scratch = os.environ["SCRATCH"]
        if os.path.exists(scratch + "/broken"):
            raise RuntimeError("the weights are gone")
        if os.path.exists(scratch + "/slow"):
            time.sleep(600)
        open(f"{scratch}/load-{os.environ['GPUMODELS_INSTANCE']}", "w").close()
        if os.path.exists(scratch + "/one only") and len([n for n in os.listdir(scratch) if n.startswith("load-")]) > 1:
            raise RuntimeError("one is enough")
    def predict(self, key: str, seconds: float = 0.0) -> str:
        with open(os.environ["SCRATCH"] + "/tally", "a") as file:
            file.write(key + "\\n")
        time.sleep(seconds)
        return os.environ["GPUMODELS_INSTANCE"]
"""


@pytest.fixture
def scratch(tmp_path):
    """The directory in which the model records its calls and loads, and finds files that change its behaviour."""
    path = tmp_path / "scratch"
    path.mkdir()
    return path


@pytest.fixture
def load(tmp_path, scratch):
    """A function that loads two replicas of a model. The model answers with the id of its instance."""
    folder = tmp_path / "teller"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "teller"\n')
    (folder / "model.py").write_text(MODEL)
    loaded = []

    def make(**options):
        load_options = {"engine": "fake", "gpu": "none", "replicas": 2, "env": {"SCRATCH": str(scratch)}, **options}
        loaded.append(gpumodels.load(folder, **load_options))
        return loaded[-1]

    yield make
    for model in loaded:
        model.stop()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(replica, "_PAUSES", (0.0, 0.01, 0.01))


def _kill(instance):
    """Kill all processes of an instance, its leash too."""
    for pid in of_instance(instance.record.id):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _all_ready(model):
    until(lambda: all(each.alive for each in model.replicas), within=60)


def _tally(scratch):
    return (scratch / "tally").read_text().split()


def test_calls_go_to_the_replicas_in_turn_and_skip_a_busy_one(load):
    model = load()
    assert repr(model) == "<Model teller, 2 replicas on CPU, fake, ready>"
    first, second = (model("x") for _ in range(2))
    assert first != second
    assert [model("x") for _ in range(4)] == [first, second, first, second]
    busy = model.submit("busy", 600.0)
    until(lambda: any(each.calls for each in model.replicas))
    free = model("x")
    assert {free} == {model("x") for _ in range(5)}
    assert set(model.map("xxxx", concurrency=1)) == {free}
    busy.cancel()


def test_an_array_made_with_empty_can_go_to_any_replica(load):
    model = gpumodels.load("echo", engine="fake", gpu="none", replicas=2)
    try:
        array = model.empty("value", (300, 300), "float32")
        array[:] = 7
        for _ in range(4):
            assert (model(array) == np.full((300, 300), 7, "float32")).all()
    finally:
        model.stop()


@pytest.mark.parametrize("engine_name", ["docker", "process"], indirect=True)
def test_a_replica_that_is_killed_under_load_loses_no_other_call_and_is_replaced(engine_name, tmp_path):
    # After 100 of 480 calls one replica is killed. The call that ran there fails and names it; all others are answered.
    model = gpumodels.load("echo", engine=engine_name, gpu="none", replicas=2)
    victim = model.replicas[0].record
    made, failed, reached = [], [], threading.Event()

    def call(caller):
        for number in range(60):
            key = f"{caller}-{number}"
            try:
                assert model(key, sleep=0.002) == key
                made.append(key)
            except errors.ModelGone as error:
                failed.append(str(error))
            if len(made) > 100:
                reached.set()

    try:
        with ThreadPoolExecutor(8) as pool:
            calls = pool.map(call, range(8))
            assert reached.wait(60)
            _kill(model.replicas[0])
            list(calls)
        assert len(failed) <= 1
        assert all("while it may have run this call" in each and victim.id in each for each in failed)
        assert len(made) == len(set(made)) == 480 - len(failed)
        until(lambda: model.replicas[0].record.id != victim.id, within=60)
        assert repr(model).endswith(f", {engine_name}, ready>")
        assert len(gpumodels.running()) == 2
    finally:
        model.stop()
    assert gpumodels.running() == []


def test_no_call_runs_twice_while_replicas_are_killed_one_after_the_other(load, scratch, quick):
    model = load()
    failed, over = [], threading.Event()

    def call(caller):
        for number in range(80):
            try:
                model(f"{caller}-{number}", 0.003)
            except errors.ModelGone:
                failed.append(f"{caller}-{number}")

    def kill():
        for victim in (*model.replicas, *model.replicas):
            until(lambda: over.is_set() or all(each.alive for each in model.replicas), within=60)
            _kill(victim)

    with ThreadPoolExecutor(9) as pool:
        killer = pool.submit(kill)
        list(pool.map(call, range(8)))
        over.set()
        killer.result()
    ran = _tally(scratch)
    assert len(ran) == len(set(ran))
    assert len(failed) <= 4
    assert {f"{caller}-{number}" for caller in range(8) for number in range(80)} - set(ran) <= set(failed)


def test_a_replica_that_cannot_be_replaced_is_given_up_and_the_other_goes_on(load, scratch, quick):
    model = load()
    (scratch / "broken").touch()
    _kill(model.replicas[0])
    until(lambda: "died too often" in repr(model), within=60)
    assert "1 of 2 ready, 1 died too often (teller could not be loaded; " in repr(model)
    assert model("x") == model("y")
    (scratch / "broken").unlink()
    model.wake()
    assert repr(model) == "<Model teller, 2 replicas on CPU, fake, ready>"


def test_when_all_replicas_are_killed_the_next_call_gets_a_new_one_or_raises_model_gone(load, scratch, quick):
    model = load()
    before = {each.record.id for each in model.replicas}
    for each in model.replicas:
        _kill(each)
    assert model("x")
    _all_ready(model)
    assert not before & {each.record.id for each in model.replicas}
    (scratch / "broken").touch()
    for each in model.replicas:
        _kill(each)
    until(lambda: not model.alive, within=60)
    with pytest.raises(errors.ModelGone, match="The model server of teller died"):
        model("x")
    assert instances.models() == []


def test_a_replica_sleeps_by_itself_and_wakes_when_the_others_are_busy(load):
    model = load()
    assert model.sleep() is not None
    assert repr(model).startswith("<Model teller, 2 replicas on CPU, fake, asleep since ")
    assert gpumodels.running() == []
    assert model("x") == model("x")  # one awake replica is enough
    assert "1 of 2 ready, 1 asleep" in repr(model)
    busy = [model.submit("busy", 600.0) for _ in range(2)]  # the second call finds all awake replicas busy
    _all_ready(model)
    assert model("x", timeout=60)
    for each in busy:
        each.cancel()


def test_a_replica_that_is_stopped_from_elsewhere_is_not_replaced(load, puppet):
    model = load()
    other = puppet()
    other.do("from gpumodels import instances")
    other.do(f"instances.stop_instance({model.replicas[0].record.id!r})")
    until(lambda: "1 of 2 ready, 1 stopped" in repr(model))
    assert model("x") == model("x")
    instances.stop_instance(model.replicas[1].record.id, "a view")
    with pytest.raises(errors.ModelStopped):
        model("x")


def test_where_the_second_cannot_be_loaded_none_is_left(load, scratch, leftovers):
    (scratch / "one only").touch()
    with pytest.raises(errors.LoadFailed, match="one is enough"):
        load()
    assert leftovers.directories() == leftovers.shared_memory() == []
    assert gpumodels.running() == []


def test_an_interrupt_while_replicas_load_leaves_none(load, scratch, leftovers):
    (scratch / "slow").touch()

    def stop():
        until(lambda: len(gpumodels.running()) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(errors.LoadCancelled):
        load()
    thread.join()
    assert leftovers.directories() == leftovers.shared_memory() == []


def test_a_repeated_load_gives_the_same_handle_and_another_number_of_replicas_a_new_one(load):
    model = load()
    assert load(in_place_of=model) is model
    three = load(in_place_of=model, replicas=3)
    assert len(three.replicas) == len(gpumodels.running()) == 3
    assert not model.alive


def test_a_forked_child_calls_the_living_replicas(load):
    model = load()
    for _ in range(2):
        model("x")
    _kill(model.replicas[0])
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os._exit(0 if model("x") == model("y") else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_stopped_model_is_freed_without_the_garbage_collector(replicas):
    # The garbage collector would close the model's connections to the engine later, in the middle of other work.
    model = gpumodels.load("echo", engine="fake", gpu="none", replicas=replicas)
    gc.collect()
    gc.disable()
    try:
        model.stop()
        held = [weakref.ref(each.attachment.instance) for each in model.replicas]
        registry._models.clear()
        del model
        until(lambda: not any(each() for each in held))
    finally:
        gc.enable()


def test_the_kernel_is_killed_and_no_replica_is_left(kernel, engine_name, leftovers):
    kernel.load(engine_name, replicas=2)
    assert len(leftovers.directories()) == 2
    kernel.kill()
    leftovers.wait(15)
