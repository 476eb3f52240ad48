"""Notes: they are valid while their process lives, and are ignored and removed afterwards."""

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


def test_a_note_of_a_living_process_is_read_and_private(runtime):
    assert notes.write(runtime.path, notes.LOAD, "a", {"n": 1})
    assert notes.write(runtime.path, notes.LOAD, "a", {"n": 2})
    assert [note["n"] for note in notes.standing(runtime.path, notes.LOAD)] == [2]
    assert notes.standing(runtime.path, notes.ASLEEP) == []
    assert stat.S_IMODE((runtime.path / ".load-a.json").stat().st_mode) == 0o600
    sweep(runtime)
    assert _files(runtime) == [".load-a.json"]
    assert notes.remove(runtime.path, notes.LOAD, "a")
    assert not notes.remove(runtime.path, notes.LOAD, "a")


def test_a_note_of_a_killed_process_is_ignored_and_swept(runtime, puppet):
    other = puppet()
    assert other.do(_WRITE.format(str(runtime.path), "gone")) is None
    assert notes.standing(runtime.path, notes.LOAD)
    other.process.send_signal(signal.SIGKILL)  # it is a zombie until `kill` waits for it below
    until(lambda: notes.standing(runtime.path, notes.LOAD) == [])
    (runtime.path / f"..load-gone.json.{other.pid}.a1b2c3").write_text("{half")
    (runtime.path / f"..load-mine.json.{os.getpid()}.a1b2c3").write_text("{half")
    (runtime.path / ".load-damaged.json").write_text("[]")
    notes.write(runtime.path, notes.LOAD, "lasting", {}, lasting=True)
    other.kill()
    sweep(runtime)
    assert _files(runtime) == [f"..load-mine.json.{os.getpid()}.a1b2c3", ".load-lasting.json"]


def test_a_note_with_a_reused_process_id_is_ignored(runtime):
    notes.write(runtime.path, notes.LOAD, "a", {})
    text = (runtime.path / ".load-a.json").read_text()
    started = str(notes.standing(runtime.path, notes.LOAD)[0]["by"][1])
    (runtime.path / ".load-a.json").write_text(text.replace(started, "1"))
    assert notes.standing(runtime.path, notes.LOAD) == []


def test_a_note_that_cannot_be_written_raises_nothing(tmp_path):
    assert not notes.write(tmp_path / "removed", notes.LOAD, "a", {})
    assert notes.standing(tmp_path / "removed", notes.LOAD) == []
    notes.sweep(tmp_path / "removed")
