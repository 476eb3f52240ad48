"""Notes of what processes do: read while those live, and no burden to anybody afterwards."""

from __future__ import annotations

import os
import signal
import stat

from gpumodels.cleanup import sweep
from gpumodels.lease import notes
from tests.leftovers import until

_WRITE = """
from pathlib import Path
from gpumodels.lease import notes
notes.write(Path({!r}), "load", {!r}, {{"n": 1}})
"""


def _files(runtime):
    return sorted(path.name for path in runtime.path.glob(".*load-*"))


def test_what_a_living_process_says_is_read_and_private(runtime):
    assert notes.write(runtime.path, notes.LOAD, "a", {"n": 1})
    assert notes.write(runtime.path, notes.LOAD, "a", {"n": 2})
    assert [note["n"] for note in notes.standing(runtime.path, notes.LOAD)] == [2]
    assert notes.standing(runtime.path, notes.ASLEEP) == []
    assert stat.S_IMODE((runtime.path / ".load-a.json").stat().st_mode) == 0o600
    sweep(runtime)
    assert _files(runtime) == [".load-a.json"]
    assert notes.remove(runtime.path, notes.LOAD, "a")
    assert not notes.remove(runtime.path, notes.LOAD, "a")


def test_what_a_process_said_that_was_killed_is_read_no_more_and_swept(runtime, puppet):
    other = puppet()
    assert other.do(_WRITE.format(str(runtime.path), "gone")) is None
    assert notes.standing(runtime.path, notes.LOAD)
    other.process.send_signal(signal.SIGKILL)  # and nobody has waited for it yet
    until(lambda: notes.standing(runtime.path, notes.LOAD) == [])
    (runtime.path / f"..load-gone.json.{other.pid}.a1b2c3").write_text("{half")
    (runtime.path / f"..load-mine.json.{os.getpid()}.a1b2c3").write_text("{half")
    (runtime.path / ".load-damaged.json").write_text("[]")
    notes.write(runtime.path, notes.LOAD, "lasting", {}, lasting=True)
    other.kill()
    sweep(runtime)
    assert _files(runtime) == [f"..load-mine.json.{os.getpid()}.a1b2c3", ".load-lasting.json"]


def test_the_process_id_of_one_that_was_killed_vouches_for_nobody(runtime):
    notes.write(runtime.path, notes.LOAD, "a", {})
    text = (runtime.path / ".load-a.json").read_text()
    started = str(notes.standing(runtime.path, notes.LOAD)[0]["by"][1])
    (runtime.path / ".load-a.json").write_text(text.replace(started, "1"))
    assert notes.standing(runtime.path, notes.LOAD) == []


def test_where_it_cannot_be_written_nothing_fails(tmp_path):
    assert not notes.write(tmp_path / "removed", notes.LOAD, "a", {})
    assert notes.standing(tmp_path / "removed", notes.LOAD) == []
    notes.sweep(tmp_path / "removed")
