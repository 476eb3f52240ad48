"""The trace of one load by benchmarks/load_trace.py: the load reads each thing once."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.leftovers import ROOT


@pytest.fixture(scope="module")
def counts():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "load_trace.py"], capture_output=True, text=True, check=True
    )
    return {label.strip(): int(count) for label, count in re.findall(r"^(\D+?) +(\d+)$", done.stdout, re.MULTILINE)}


@pytest.mark.parametrize(
    "label", ["settings read", "runtime directories made", "GPU requests parsed", "lease files opened"]
)
def test_one_load_does_it_once(counts, label):
    assert counts[label] == 1


def test_one_load_lists_the_running_instances_before_it_builds_and_before_it_places(counts):
    assert counts["running instances listed"] == 2
