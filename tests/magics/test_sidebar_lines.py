"""The lines that the sidebar's form makes, as IPython and the magic read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpumodels.magics import loading
from gpumodels.magics.arguments import options_of

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
        understood = asked(pair["line"])
        assert understood.model == pair.get("read", pair["asked"]["model"]), pair
        chosen = {key: value for key, value in pair["asked"].items() if key != "model" and value not in ("", "auto")}
        assert options_of(understood) == chosen, pair
        assert not understood.silent, pair
