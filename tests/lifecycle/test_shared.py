"""Notebooks that share one instance: it ends with the last of them, and they do not disturb each other."""

from __future__ import annotations

import os
import signal
import time

import pytest

import gpumodels
from gpumodels.instances import holders_of, models, runtime_directory, users_of
from gpumodels.lease import events
from gpumodels.lease.processes import of_instance
from tests.leftovers import until


class Notices:
    """A report that collects its notices."""

    def __init__(self):
        self.texts = []

    def progress(self, text, fraction):
        pass

    def notice(self, text):
        self.texts.append(text)

    def end(self, text):
        pass


@pytest.fixture
def join(puppet):
    """A function that starts another process, which loads echo with `share`."""

    def make(engine="fake", **options):
        other = puppet()
        load_options = {"engine": engine, "gpu": "none", "share": True, **options}
        other.do(f"import gpumodels; m = gpumodels.load('echo', **{load_options!r})")
        other.instance = other.do("m.record.id")
        return other

    return make


def _ids():
    return [record.id for record in gpumodels.running()]


ATTACH = """
def attach():
    time.sleep(random.uniform(0.2, 0.4))
    try:
        with gpumodels.attach("echo") as model:
            return "called" if model(1) == 1 else "wrong"
    except gpumodels.ModelNotFound:
        return "none"
"""


def test_a_second_process_gets_the_running_instance(join, engine_name, leftovers):
    first, second = join(engine_name), join(engine_name)
    assert first.instance == second.instance
    assert _ids() == [first.instance]
    assert (first.do("m(1)"), second.do("m(2)")) == (1, 2)
    first.kill()
    assert second.do("m(3)") == 3
    assert _ids() == [first.instance]
    second.kill()
    leftovers.wait()


def test_one_model_server_runs_for_all(join):
    first = join()
    before = of_instance(first.instance)
    join()
    assert of_instance(first.instance) == before


def test_stopping_a_shared_model_leaves_it_to_the_others(join, leftovers):
    first, second = join(), join()
    second.tell("m(5, sleep=1.0)")
    time.sleep(0.2)
    first.do("m.stop()")
    assert second.answer() == 5
    assert second.do("m.alive")
    second.do("m.stop()")
    assert leftovers.directories() + leftovers.shared_memory() == []


def test_a_load_without_sharing_suggests_it_in_one_line(join):
    first, notices = join(), Notices()
    with gpumodels.load("echo", engine="fake", gpu="none", report=notices) as model:
        assert model.record.id != first.instance
        assert notices.texts == ["another notebook runs this model; --share would use that one"]


@pytest.mark.parametrize(
    "different", [{"env": {"ECHO_LOAD": "sleep:0"}}, {"serve": "127.0.0.1:0"}, {"engine": "process"}]
)
def test_a_load_with_other_options_is_not_shared(join, different):
    first = join()
    options = {"engine": "fake", "gpu": "none", "share": True, **different}
    with gpumodels.load("echo", **options) as model:
        assert model.record.id != first.instance


def test_an_edited_folder_is_another_model(tmp_path):
    (tmp_path / "model.toml").write_text('name = "tiny"\n')
    (tmp_path / "model.py").write_text(
        "class Model:\n    def load(self, device): pass\n    def predict(self): return 1\n"
    )
    with gpumodels.load(tmp_path, engine="fake", gpu="none", share=True) as model:
        (tmp_path / "model.py").write_text(
            "class Model:\n    def load(self, device): pass\n    def predict(self): return 22\n"
        )
        with gpumodels.load(tmp_path, engine="fake", gpu="none", share=True) as edited:
            assert (model(), edited()) == (1, 22)


def test_a_load_waits_for_a_shared_instance_that_still_loads(puppet):
    options = {"engine": "fake", "gpu": "none", "share": True, "env": {"ECHO_LOAD": "sleep:1.5"}}
    first = puppet()
    first.do("import gpumodels")
    first.tell(f"m = gpumodels.load('echo', **{options!r})")
    until(_ids)
    with gpumodels.load("echo", **options) as model:
        assert _ids() == [model.record.id]
        first.answer()
        assert first.do("m.record.id") == model.record.id


def test_an_instance_whose_loader_dies_while_it_loads_goes_on_for_the_other(puppet):
    options = {"engine": "fake", "gpu": "none", "share": True, "env": {"ECHO_LOAD": "sleep:1.5"}}
    first = puppet()
    first.do("import gpumodels")
    first.tell(f"m = gpumodels.load('echo', **{options!r})")
    until(_ids)
    second = puppet()
    second.do("import gpumodels")
    second.tell(f"m = gpumodels.load('echo', **{options!r})")
    directory = until(lambda: gpumodels.instances.registry.runtime_directory().instances())[0]
    until(lambda: len(holders_of(directory)) == 2)
    first.kill()
    second.answer()
    assert second.do("m(1)") == 1
    assert [record.state for record in gpumodels.running()] == ["ready"]


def test_two_loads_at_once_share_one_instance(puppet):
    both = [puppet(), puppet()]
    for each in both:
        each.do("import gpumodels; import gpumodels.loading.loader, gpumodels.client")
    for _ in range(4):
        for each in both:
            each.tell("m = gpumodels.load('echo', engine='fake', gpu='none', share=True)")
        for each in both:
            each.answer()
        assert len(_ids()) == 1
        for each in both:
            each.do("m.stop()")


def test_joining_an_instance_that_just_ends_starts_another(join):
    other = join()
    for number in range(15):
        other.tell("m.stop()")
        time.sleep(number * 0.002)
        with gpumodels.load("echo", engine="fake", gpu="none", share=True) as model:
            other.answer()
            assert model(number) == number
            other.do("m = gpumodels.load('echo', engine='fake', gpu='none', share=True)")
        assert other.do(f"m({number})") == number


def test_attaching_while_a_model_falls_asleep_gives_a_model_or_an_error(puppet):
    # `attach` must not return a model that cannot be called.
    other = puppet()
    other.do("import gpumodels, random, time; gpumodels.load")
    other.do(ATTACH)
    found = []
    for _ in range(12):
        with gpumodels.load("echo", engine="fake", gpu="none", idle=0.3):
            found.append(other.do("attach()"))
    assert set(found) <= {"called", "none"}, found


def test_two_notebooks_whose_shared_model_slept_share_it_again(join):
    first, second = join(idle=5), join(idle=5)
    until(lambda: first.do("m.asleep") and second.do("m.asleep"), within=20)
    first.tell("m(1)")
    second.tell("m(2)")
    assert (first.answer(), second.answer()) == (1, 2)
    assert first.do("m.record.id") == second.do("m.record.id")


def test_the_same_notebook_gets_the_same_handle():
    with gpumodels.load("echo", engine="fake", gpu="none", share=True) as model:
        assert gpumodels.load("echo", engine="fake", gpu="none", share=True) is model


@pytest.mark.parametrize("wanted", ["id", "prefix", "name"])
def test_attach_by_id_prefix_or_name(join, wanted):
    first = join()
    name = {"id": first.instance, "prefix": first.instance[:8], "name": "echo"}[wanted]
    model = gpumodels.attach(name)
    assert model.record.id == first.instance
    assert model(1) == 1
    assert gpumodels.attach(name) is model
    first.kill()
    assert model(2) == 2
    model.stop()


def test_attaching_to_an_unknown_or_ambiguous_name_raises_model_not_found(join):
    with pytest.raises(gpumodels.ModelNotFound, match=r"No running model is called 'echo'\. Running models: none"):
        gpumodels.attach("echo")
    first, second = join(), join(share=False)
    with pytest.raises(gpumodels.ModelNotFound, match="Several running models are called 'echo'") as error:
        gpumodels.attach("echo")
    assert first.instance in str(error.value)
    assert second.instance in str(error.value)
    with pytest.raises(gpumodels.ModelNotFound):
        gpumodels.attach("")


def test_an_attached_model_sleeps_and_wakes(join):
    first = join()
    model = gpumodels.attach("echo")
    first.kill()
    model.sleep()
    assert _ids() == []
    assert model(1) == 1
    model.stop()


def test_an_attached_model_of_unknown_settings_is_not_woken(join):
    join(env={"ECHO_LOAD": "sleep:0"}).do("0")
    model = gpumodels.attach("echo")
    model.sleep()
    with pytest.raises(gpumodels.LoadRefused, match="echo was loaded elsewhere, with settings that are not known here"):
        model(1)
    assert model.asleep
    model.stop()


def test_all_holders_are_listed(join, runtime):
    first, second = join(), join()
    directory = runtime.directory(first.instance)
    assert [each.pid for each in holders_of(directory)] == [first.pid, second.pid]
    assert users_of(runtime.instances()) == {first.instance: holders_of(directory)}
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: {each.pid for each in holders_of(directory)} == {second.pid})


def test_two_handles_of_one_process_wake_on_the_instance_that_another_process_keeps(join, leftovers):
    other = join()
    first = gpumodels.load("echo", engine="fake", gpu="none", share=True)
    first.sleep()
    second = gpumodels.load("echo", engine="fake", gpu="none", share=True)
    assert second is not first
    assert first(1, timeout=60) == 1
    assert (first.record.id, second.record.id) == (other.instance, other.instance)
    assert [each["event"] for each in events.read(runtime_directory().path)].count("awake") == 1
    assert {first, second} <= set(models())
    second.sleep()
    assert first(2) == 2
    first.stop()
    assert second(3) == 3
    second.stop()
    assert other.do("m(4)") == 4
    other.kill()
    until(lambda: leftovers.directories() + leftovers.shared_memory() == [])
