"""What a load under way says of itself, and what stays of one that failed."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from concurrent.futures import CancelledError
from itertools import pairwise

import pytest

from gpumodels.errors import LoadCancelled, LoadFailed, LoadTimeout, ModelStopped
from gpumodels.instances import loads
from gpumodels.instances.progress import SilentReport
from gpumodels.lease import events, notes
from gpumodels.loading import journal
from gpumodels.loading.asked import load_line
from gpumodels.loading.journal import Note, Noted
from tests.leftovers import until

LINE = "%load_model echo"


def _fail(message, line=LINE):
    def load():
        raise LoadFailed(message)

    with pytest.raises(LoadFailed):
        Note("echo", line).around(load)


def test_a_load_is_seen_from_its_first_word_to_its_end(runtime_path):
    note = Note("./models/echo", LINE, "mine")
    seen = []

    def load():
        note.begin("echo")
        seen.extend(loads.loads())
        report = Noted(SilentReport(), note)
        report.notice("echo runs on the CPU")
        report.progress("building", 0.25)
        note.concerns("echo-1")  # which is seen at once, however much was said just before
        seen.extend(loads.loads())
        return "loaded"

    assert note.around(load) == "loaded"
    first, last = seen
    assert (first.id, first.model, first.line, first.text, first.failed) == ("mine", "echo", LINE, "", "")
    assert (last.text, last.fraction, last.log) == ("building", 0.25, ("echo runs on the CPU",))
    assert (last.instances, last.said) == (("echo-1",), "building (25%)")
    assert loads.loads() == []
    assert list(runtime_path.glob(".load-*")) == []


def test_a_talkative_build_is_written_five_times_a_second_and_its_last_word_is_seen(monkeypatch):
    written = []
    monkeypatch.setattr(notes, "write", lambda *given, **_: written.append((time.monotonic(), given[3]["text"])))
    note = Note("echo", LINE)
    done = threading.Event()

    def load():
        note.begin("echo")
        for step in range(400):
            note.says(f"step {step}", None)
            time.sleep(0.001)
        assert done.wait(10)

    thread = threading.Thread(target=note.around, args=(load,))
    thread.start()
    try:
        until(lambda: written and written[-1][1] == "step 399")
    finally:
        done.set()
        thread.join()
    moments = [moment for moment, _ in written]
    assert all(later - sooner >= 0.19 for sooner, later in pairwise(moments))


def test_one_that_failed_stays_with_its_reason_and_log_until_it_is_dismissed(runtime_path):
    _fail("echo could not be loaded; its model server ended with exit code 3:\nKeyError: 'weights'\nkilled")
    (failed,) = loads.loads()
    assert failed.failed == "echo could not be loaded; its model server ended with exit code 3"
    assert failed.log == ("KeyError: 'weights'", "killed")
    assert loads.under_way() == []
    assert [event["text"] for event in events.read(runtime_path, last=1)] == [failed.failed]
    loads.dismiss(failed.id)
    assert loads.loads() == []
    with pytest.raises(KeyError):
        loads.dismiss(failed.id)


def test_a_load_under_way_is_not_dismissed():
    note = Note("echo", LINE, "mine")

    def load():
        note.begin("echo")
        with pytest.raises(KeyError):
            loads.dismiss("mine")

    note.around(load)


def test_what_the_model_server_said_last_of_itself_is_the_reason():
    _fail("echo could not be loaded; ...:\nTraceback\ngpumodels: echo failed to load: RuntimeError: no weights")
    assert loads.loads()[0].failed == "echo failed to load: RuntimeError: no weights"


def test_what_steers_a_terminal_is_left_out():
    _fail("echo could not be loaded:\n\x1b[31mred\x1b[0m\tx\n10%\r20%\r30%\r\n\x07")
    assert loads.loads()[0].log == ("red\tx", "30%", "")


def test_an_error_that_nobody_foresaw_is_a_failure_too():
    with pytest.raises(ZeroDivisionError):
        Note("echo", LINE).around(lambda: 1 / 0)
    assert loads.loads()[0].failed == "ZeroDivisionError: division by zero"


def test_the_newest_twenty_failures_stay_and_of_the_same_load_the_last():
    for number in range(22):
        _fail(f"because {number}", f"{LINE} --gpu {number}")
    _fail("because of all", f"{LINE} --gpu 21")
    kept = [load.failed for load in loads.loads()]
    assert kept == [*(f"because {number}" for number in range(2, 21)), "because of all"]


_STOPPED = LoadFailed("echo was stopped from the sidebar, while it was loaded.")
_STOPPED.stopped = True


@pytest.mark.parametrize(
    "error", [LoadCancelled("echo: cancelled"), CancelledError(), KeyboardInterrupt(), ModelStopped("echo"), _STOPPED]
)
def test_one_that_somebody_ended_leaves_nothing(runtime_path, error):
    note = Note("echo", LINE)

    def load():
        note.begin("echo")
        raise error

    with pytest.raises(type(error)):
        note.around(load)
    assert list(runtime_path.glob(".*load-*")) == []


_OURS = ("journal.py", "notes.py")


class _InterruptAt:
    """Interrupts before the n-th line that is run of the note's own code.

    Not where a lock is taken or given back: between that instruction and the block Python hears no signal.
    """

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, _):
        code = frame.f_code
        if not code.co_filename.endswith(_OURS) and code.co_name != "write_atomically":
            return None
        line = linecache.getline(code.co_filename, frame.f_lineno)
        if event == "line" and "with self._lock" not in line:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

    def during(self, act):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            act()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


def test_an_interrupt_at_any_moment_leaves_nothing(runtime, monkeypatch):
    monkeypatch.setattr(journal, "_EVERY", 0.0)
    number = 1

    def load():
        note = Note("echo", LINE)

        def begin():
            note.begin("echo")
            note.says("loading", 0.5)

        note.around(begin)

    while _InterruptAt(number).during(load):
        assert list(runtime.path.glob(".*load-*")) == [], f"interrupted at line {number}"
        number += 1
    assert number > 50


def test_a_runtime_directory_that_vanishes_or_cannot_be_had_is_no_trouble(runtime_path, monkeypatch):
    note = Note("echo", LINE)

    def load():
        note.begin("echo")
        for path in runtime_path.iterdir():
            path.unlink()
        runtime_path.rmdir()
        note.says("loading", None)
        note.notices("it is gone")
        return "loaded"

    assert note.around(load) == "loaded"
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", "/proc/gpumodels")
    assert Note("echo", LINE).around(lambda: "loaded") == "loaded"


def test_a_load_that_failed_because_of_the_time_says_so():
    def load():
        raise LoadTimeout("echo was not ready within 3 s, so it was stopped. Its last lines:\nloading layer 4")

    with pytest.raises(LoadTimeout):
        Note("echo", LINE).around(load)
    assert loads.loads()[0].failed == "echo was not ready within 3 s, so it was stopped."


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, ""),
        ({"gpu": "auto", "engine": None, "share": False, "replicas": 1}, ""),
        ({"gpu": [0, 1], "idle": "10m", "share": True, "memory": 5}, " --gpu 0,1 --idle 10m --share --memory 5"),
    ],
)
def test_the_line_loads_the_same_again(given, options):
    assert load_line("./my model", given) == f"%load_model './my model'{options}"
