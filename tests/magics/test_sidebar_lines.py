"""The lines that the sidebar's form makes, as IPython and the magic read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpumodels.magics import loading
from gpumodels.settings import duration

# labextension/tests/line.test.ts holds the form to the same lines.
LINES = json.loads((Path(__file__).parents[2] / "labextension/tests/lines.json").read_text(encoding="utf-8"))


@pytest.fixture
def asked(shell, monkeypatch):
    """What a line asks for, as the magic understands it."""
    read = []
    monkeypatch.setattr(loading, "load", lambda _shell, values, _loaded: read.append(values))
    shell.user_ns["value"] = "expanded"

    def run(line: str):
        shell.run_cell(line).raise_error()
        return read.pop()

    return run


def test_each_asks_for_what_was_chosen(asked):
    for pair in LINES:
        chosen, understood = pair["asked"], asked(pair["line"])
        assert understood.model == pair.get("read", chosen["model"]), pair
        assert understood.gpu == chosen.get("gpu", "auto"), pair
        assert (understood.engine or "auto") == chosen.get("engine", "auto"), pair
        assert (understood.idle or "") == chosen.get("idle", ""), pair
        assert not understood.idle or duration(understood.idle), pair
        assert not understood.silent, pair
