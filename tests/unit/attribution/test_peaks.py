"""Peaks of the memory of models, and the file that stores them, also if it is damaged."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpumodels.attribution import peaks
from gpumodels.lease.record import InstanceRecord, Owner
from tests.fakes.nvml import GB

H100, L4 = {"uuid": "GPU-1", "name": "NVIDIA H100"}, {"uuid": "GPU-2", "name": "NVIDIA L4"}


def record(mark="f00d", engine="docker", devices=(H100,)):
    return InstanceRecord("ctpn-1", "ctpn", engine, Owner(1), 0.0, devices=devices, fingerprint=mark)


@pytest.fixture
def file():
    return Path(os.environ["XDG_STATE_HOME"]) / "gpumodels" / "peaks.json"


def test_the_peak_is_kept_for_each_model_engine_number_and_kind_of_device():
    peaks.note(record(), 3 * GB)
    peaks.note(record(), 5 * GB)
    peaks.note(record(), 4 * GB)
    peaks.note(record(devices=(L4,)), 2 * GB)
    peaks.note(record(devices=(H100, L4)), 8 * GB)
    peaks.note(record(engine="process"), 6 * GB)
    peaks.note(record(mark="beef"), 7 * GB)
    assert peaks.learnt("f00d", "docker", 1) == {"NVIDIA H100": 5 * GB, "NVIDIA L4": 2 * GB}
    assert peaks.learnt("f00d", "docker", 2) == {"NVIDIA H100": 8 * GB, "NVIDIA L4": 8 * GB}
    assert peaks.learnt("f00d", "process", 1) == {"NVIDIA H100": 6 * GB}
    assert peaks.learnt("beef", "docker", 1) == {"NVIDIA H100": 7 * GB}
    assert peaks.learnt("cafe", "docker", 1) == {}


def test_a_peak_that_is_hardly_larger_is_not_written(file):
    peaks.note(record(), 100 * GB)
    before = file.stat()
    peaks.note(record(), 101 * GB)
    peaks.note(record(), None)
    peaks.note(record(devices=()), 200 * GB)
    assert file.stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "\udcff",
        "[" * 100_000,
        '{"version": 2, "peaks": {}}',
        '{"version": 1, "peaks": [1]}',
        '{"version": 1, "peaks": {"f00d docker 1 X": "many"}}',
        '{"version": 1, "peaks": {"f00d docker 1 X": [-1, 0]}}',
    ],
)
def test_a_damaged_file_counts_as_empty(file, content):
    file.parent.mkdir(parents=True)
    file.write_text(content, errors="surrogateescape")
    assert peaks.learnt("f00d", "docker", 1) == {}
    peaks.note(record(), GB)
    assert peaks.learnt("f00d", "docker", 1) == {"NVIDIA H100": GB}


def test_a_file_that_cannot_be_written_raises_nothing(file):
    file.parent.parent.mkdir()
    file.parent.write_text("no directory")
    peaks.note(record(), GB)
    assert peaks.learnt("f00d", "docker", 1) == {}


def test_a_named_pipe_in_place_of_the_file_does_not_block(file):
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    assert peaks.learnt("f00d", "docker", 1) == {}


def test_the_oldest_peaks_are_removed_if_there_are_too_many(file, monkeypatch):
    monkeypatch.setattr(peaks, "_KEPT", 3)
    for number in range(5):
        peaks.note(record(mark=f"mark{number}"), GB)
    assert [bool(peaks.learnt(f"mark{number}", "docker", 1)) for number in range(5)] == [False] * 2 + [True] * 3


def test_concurrent_writers_leave_a_complete_file(file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: peaks.note(record(mark=f"mark{number}"), number * GB), range(1, 40)))
    assert json.loads(file.read_text())["version"] == 1
    assert (
        subprocess.run(["ls", "-A", file.parent], capture_output=True, text=True, check=True).stdout == "peaks.json\n"
    )
