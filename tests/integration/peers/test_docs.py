"""The examples of docs/peers.md, which must run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import gpumodels
from tests.leftovers import ROOT

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "peers.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("engine", ["docker", "process"])
def test_the_examples_run(engine, capsys):
    first, shared = EXAMPLES
    names = {"model": gpumodels.load("echo", gpu="none", engine=engine, serve="127.0.0.1:0")}
    exec(first, names)
    assert "[[1. 1. 1.]\n [1. 1. 1.]]" in capsys.readouterr().out
    before, register, after = shared.partition("client.register_system_shared_memory")
    exec(before, names)
    Path("/dev/shm/my-image").chmod(0o666)  # the page tells root to do so
    exec(register + after, names)
    np.testing.assert_array_equal(names["result"].as_numpy("value"), names["image"])
    names["client"].close()
