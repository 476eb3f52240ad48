"""The pictures that widgets leave in a saved notebook, and the reading that all widgets share."""

from __future__ import annotations

import threading
import time

from gpumodels.presentation import date_and_clock
from gpumodels.widgets import pictures
from gpumodels.widgets.state import SharedReading

MODEL = {
    "id": "echo-1", "name": "<b>echo", "notebook": "/home/ada/signs & sounds.ipynb", "kernel_id": "k", "pid": 4711,
    "device": "GPU 0", "engine": "process", "since": "", "state": "ready", "kept_since": "", "over_since": "",
    "memory": 12_000_000_000, "idle": 75.0,
    "activity": {"per_second": 2.5, "p50": 0.0123, "p99": 1.5, "waiting": 3, "running": 0},
}  # fmt: skip
NO_GPU = {"place": "p", "moment": 0.0, "trouble": "no driver is installed", "devices": []}


def test_a_picture_has_the_facts_of_the_dashboard():
    shown = pictures.dashboard({**NO_GPU, "models": [MODEL]}, "m-1", ["ctpn is asleep since 14:03"])
    for text in ("signs & sounds.ipynb", "12.0 GB", "2.5", "12 ms", "1.5 s", "1 min", "ctpn is asleep since 14:03"):
        assert text in shown["text/plain"]
    assert "No GPU: no driver is installed." in shown["text/plain"]
    assert f"as seen on {date_and_clock(0.0)}; run the cell" in shown["text/plain"]
    assert "signs &amp; sounds.ipynb" in shown["text/html"]


def test_texts_in_a_picture_are_escaped():
    shown = pictures.dashboard({**NO_GPU, "models": [MODEL]}, '"><script>', ["<i>"])
    assert not any(bad in shown["text/html"] for bad in ("<b>echo", "<script>", "<i>"))
    assert "<b>echo" not in pictures.card({**NO_GPU, "models": [MODEL]}, "m-1", ["echo-1"], "<b>echo")["text/html"]


def test_unknown_values_are_shown_as_dashes():
    unknown = {**MODEL, "activity": None, "idle": None, "memory": None, "notebook": "", "over_since": "2026-01-01"}
    shown = pictures.card({**NO_GPU, "models": [unknown]}, "m-1", ["echo-1"], "said")["text/html"]
    assert "None" not in shown
    assert "process 4711" in shown
    assert "over its memory limit" in shown


def test_one_reading_serves_all_callers():
    read = []

    def reading():
        read.append(time.monotonic())
        time.sleep(0.05)
        return {"models": []}

    shared = SharedReading(reading)
    viewers = [threading.Thread(target=shared.recent) for _ in range(20)]
    for each in viewers:
        each.start()
    for each in viewers:
        each.join()
    assert len(read) == 1
    time.sleep(1)
    shared.recent()
    assert len(read) == 2
