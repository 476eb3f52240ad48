"""A model with several instances, as a notebook shows it."""

from __future__ import annotations

import re

from tests.magics.conftest import ECHO


def test_replicas_are_rows_of_one_model_and_stopped_as_one(kernel):
    line = kernel.ok(f"{ECHO} --replicas 2").shown[-1]
    assert re.match(r"echo ready as 2 replicas on CPU, fake engine, in \d+\.\d s", line)
    rows = re.findall(r"echo +CPU +fake +ready +this notebook", kernel.ok("%models").shown[0])
    assert len(rows) == 2
    assert kernel.ok("echo(1)").result == "1"
    kernel.ok("%sleep_model ;")
    rows = re.findall(r"echo +CPU +fake +asleep since", kernel.ok("%models").shown[0])
    assert len(rows) == 2
    assert kernel.ok("%stop_model").stream.startswith("stopped echo")
    assert kernel.ok("%models").shown[0] == "No model is running."
