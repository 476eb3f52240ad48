"""The journal of a load: notes while it is in flight, and the note of a failed load."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from concurrent.futures import CancelledError
from itertools import pairwise

import pytest

from gpumodels.errors import LoadCancelled, LoadFailed, LoadTimeout, ModelStopped
from gpumodels.instances import dismiss_load, list_loads
from gpumodels.lease import events, notes
from gpumodels.loading import journal
from gpumodels.loading.journal import LoadJournal
from gpumodels.model import NullReport
from tests.leftovers import until

LINE = "%load_model echo"


def _fail(message, line=LINE):
    def load():
        raise LoadFailed(message)

    with pytest.raises(LoadFailed):
        LoadJournal(NullReport(), "echo", line).run(load)


def test_a_load_is_listed_from_its_beginning_to_its_end(runtime_path):
    load_journal = LoadJournal(NullReport(), "./models/echo", LINE, "mine")
    seen = []

    def load():
        load_journal.begin("echo")
        seen.extend(list_loads())
        load_journal.notice("echo runs on the CPU")
        load_journal.progress("building", 0.25)
        load_journal.add_instance("echo-1")  # written at once, even directly after another note
        seen.extend(list_loads())
        return "loaded"

    assert load_journal.run(load) == "loaded"
    first, last = seen
    assert (first.id, first.model, first.line, first.text, first.failed) == ("mine", "echo", LINE, "", "")
    assert (last.text, last.fraction, last.log) == ("building", 0.25, ("echo runs on the CPU",))
    assert (last.instances, last.summary) == (("echo-1",), "building (25%)")
    assert list_loads() == []
    assert list(runtime_path.glob(".load-*")) == []


def test_frequent_progress_is_written_five_times_a_second_and_the_last_step_is_not_lost(monkeypatch):
    written = []
    monkeypatch.setattr(notes, "write", lambda *given, **_: written.append((time.monotonic(), given[3]["text"])))
    load_journal = LoadJournal(NullReport(), "echo", LINE)
    done = threading.Event()

    def load():
        load_journal.begin("echo")
        for step in range(400):
            load_journal.progress(f"step {step}", None)
            time.sleep(0.001)
        assert done.wait(10)

    thread = threading.Thread(target=load_journal.run, args=(load,))
    thread.start()
    try:
        until(lambda: written and written[-1][1] == "step 399")
    finally:
        done.set()
        thread.join()
    moments = [moment for moment, _ in written]
    assert all(later - sooner >= 0.19 for sooner, later in pairwise(moments))


def test_a_failed_load_stays_with_its_reason_and_log_until_it_is_dismissed(runtime_path):
    _fail("echo could not be loaded; its model server ended with exit code 3:\nKeyError: 'weights'\nkilled")
    (failed,) = list_loads()
    assert failed.failed == "echo could not be loaded; its model server ended with exit code 3"
    assert failed.log == ("KeyError: 'weights'", "killed")
    assert [event["text"] for event in events.read(runtime_path, last=1)] == [failed.failed]
    dismiss_load(failed.id)
    assert list_loads() == []
    with pytest.raises(KeyError):
        dismiss_load(failed.id)


def test_a_load_in_flight_cannot_be_dismissed():
    load_journal = LoadJournal(NullReport(), "echo", LINE, "mine")

    def load():
        load_journal.begin("echo")
        with pytest.raises(KeyError):
            dismiss_load("mine")

    load_journal.run(load)


def test_the_last_message_of_the_model_server_is_the_reason():
    _fail("echo could not be loaded; ...:\nTraceback\ngpumodels: echo failed to load: RuntimeError: no weights")
    assert list_loads()[0].failed == "echo failed to load: RuntimeError: no weights"


def test_control_sequences_are_left_out_of_the_log():
    _fail("echo could not be loaded:\n\x1b[31mred\x1b[0m\tx\n10%\r20%\r30%\r\n\x07")
    assert list_loads()[0].log == ("red\tx", "30%", "")


def test_an_unexpected_error_is_a_failure_too():
    with pytest.raises(ZeroDivisionError):
        LoadJournal(NullReport(), "echo", LINE).run(lambda: 1 / 0)
    assert list_loads()[0].failed == "ZeroDivisionError: division by zero"


def test_the_newest_twenty_failures_stay_and_only_the_last_of_the_same_load():
    for number in range(22):
        _fail(f"because {number}", f"{LINE} --gpu {number}")
    _fail("because of all", f"{LINE} --gpu 21")
    kept = [load.failed for load in list_loads()]
    assert kept == [*(f"because {number}" for number in range(2, 21)), "because of all"]


_STOPPED = LoadFailed("echo was stopped from the sidebar, while it was loaded.")
_STOPPED.stopped = True


@pytest.mark.parametrize(
    "error", [LoadCancelled("echo: cancelled"), CancelledError(), KeyboardInterrupt(), ModelStopped("echo"), _STOPPED]
)
def test_a_cancelled_or_stopped_load_leaves_nothing(runtime_path, error):
    load_journal = LoadJournal(NullReport(), "echo", LINE)

    def load():
        load_journal.begin("echo")
        raise error

    with pytest.raises(type(error)):
        load_journal.run(load)
    assert list(runtime_path.glob(".*load-*")) == []


_OURS = ("journal.py", "notes.py")


class _InterruptAt:
    """A trace function that interrupts before the n-th line of the code that writes notes.

    It does not interrupt lines that take or release a lock, because Python handles no signal between these and the
    block.
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
    monkeypatch.setattr(journal, "_PERIOD", 0.0)
    number = 1

    def load():
        load_journal = LoadJournal(NullReport(), "echo", LINE)

        def begin():
            load_journal.begin("echo")
            load_journal.progress("loading", 0.5)

        load_journal.run(begin)

    while _InterruptAt(number).during(load):
        assert list(runtime.path.glob(".*load-*")) == [], f"interrupted at line {number}"
        number += 1
    assert number > 50


def test_a_load_goes_on_without_its_runtime_directory(runtime_path, monkeypatch):
    load_journal = LoadJournal(NullReport(), "echo", LINE)

    def load():
        load_journal.begin("echo")
        for path in runtime_path.iterdir():
            path.unlink()
        runtime_path.rmdir()
        load_journal.progress("loading", None)
        load_journal.notice("it is gone")
        return "loaded"

    assert load_journal.run(load) == "loaded"
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", "/proc/gpumodels")
    assert LoadJournal(NullReport(), "echo", LINE).run(lambda: "loaded") == "loaded"


def test_a_timeout_is_the_reason_of_a_failed_load():
    def load():
        raise LoadTimeout("echo was not ready within 3 s, so it was stopped. Its last lines:\nloading layer 4")

    with pytest.raises(LoadTimeout):
        LoadJournal(NullReport(), "echo", LINE).run(load)
    assert list_loads()[0].failed == "echo was not ready within 3 s, so it was stopped."
