"""The `%load_model` lines that the sidebar's form makes, read by IPython and the magic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpumodels.magics import loading
from gpumodels.magics.arguments import options_of

# labextension/tests/line.test.ts checks that the form makes these lines.
LINES = json.loads((Path(__file__).parents[2] / "labextension/tests/lines.json").read_text(encoding="utf-8"))


@pytest.fixture
def asked(shell, monkeypatch):
    """A function that runs a line and returns the arguments that the magic reads from it."""
    read = []
    monkeypatch.setattr(loading, "load", lambda _shell, values, _loaded: read.append(values))
    shell.user_ns["value"] = "expanded"

    def run(line: str):
        shell.run_cell(line).raise_error()
        return read.pop()

    return run


def test_each_line_is_read_as_the_options_that_were_chosen(asked):
    for pair in LINES:
        understood = asked(pair["line"])
        assert understood.model == pair.get("read", pair["asked"]["model"]), pair
        chosen = {key: value for key, value in pair["asked"].items() if key != "model" and value not in ("", "auto")}
        assert options_of(understood) == chosen, pair
        assert not understood.silent, pair
