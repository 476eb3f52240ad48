"""IPython and the magic read each line that loads a model as the request for which the line was written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from gpumodels.errors import LoadRefused
from gpumodels.jupyter import description
from gpumodels.lease import InstanceRecord, Owner
from gpumodels.loading import OPTIONS, LoadRequest
from gpumodels.loading.options import MOST_REPLICAS
from gpumodels.magics import loading
from gpumodels.magics.arguments import options_of
from gpumodels.settings import settings as known_settings

# labextension/tests/line.test.ts tests the form of the sidebar with the same lines.
LINES = json.loads((Path(__file__).parents[2] / "labextension/tests/lines.json").read_text(encoding="utf-8"))

#: Texts that have a meaning for IPython, for quotes of a shell or for the magic.
PIECES = st.sampled_from(
    ["{value}", "{", "}", "{{", "$value", "$$value", "${value}", "$", "'", '"', "\\", " ", "-", "--", "--gpu", "#",
     " #", ";", "?", "!", "!ls", "%", "=", "~", "/", "./", ".", ",", "value", "%load_model", "é", "漢", "\u00a0",
     "\u2028", "\n", "\r", "\t", "\0", "\x85", "\x1b", "\ud800", "\U0001f600", "`", "(", ")", "[", "]"]
)  # fmt: skip
TEXT = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=12)
PATHS = TEXT.map(Path)

NUMBERS = st.integers(1, 10**9) | st.floats(0, 1e300, exclude_min=True) | st.just(math.inf)
DURATIONS = st.tuples(st.integers(1, 9999).map(str), st.sampled_from(["", "s", "m", " h", "d"])).map("".join)
TIMES = NUMBERS | NUMBERS.map(np.float64) | DURATIONS
INDICES = st.integers(0, 99) | st.integers(0, 99).map(np.int64)
GPU_NAMES = st.from_regex(r"[\w-]+", fullmatch=True).filter(lambda text: text.lower() not in ("auto", "none"))
SIZES = st.tuples(st.integers(2, 9000).map(str), st.sampled_from(["MiB", " GB", "g", "TiB"])).map("".join)

#: Values that `load` takes for each option.
VALUES = {
    "gpu": st.sampled_from([None, "auto", "none", "auto:2", " AUTO "])
    | INDICES | GPU_NAMES | st.lists(GPU_NAMES | INDICES, min_size=1, max_size=3),
    "engine": st.none() | TEXT,
    "timeout": st.none() | st.just("never") | TIMES,
    "env": st.none() | st.dictionaries(st.sampled_from(["A", "B"]), st.text("ab{$", max_size=3)),
    "serve": st.none() | st.sampled_from(["127.0.0.1:8001", "localhost:0", "[::1]:80"]),
    "share": st.sampled_from([True, False, None, 1, "", "yes"]),
    "keep": st.none() | st.just("forever") | TIMES,
    "idle": st.none() | st.just("never") | TIMES,
    "replicas": st.integers(1, MOST_REPLICAS),
    "evict": st.booleans(),
    "memory": st.none() | st.integers(1 << 20, 1 << 60) | SIZES,
    "cache": st.sampled_from([True, False, None]),
}  # fmt: skip
OPTIONAL = st.fixed_dictionaries({}, optional=VALUES)

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def asked(shell, monkeypatch):
    """A function that runs a line in a cell, and returns the arguments with which the magic calls `load`."""
    read = []
    monkeypatch.setattr(loading, "load", lambda _shell, values, _loaded: read.append(values))
    shell.user_ns["value"] = "expanded"

    def run(line: str):
        shell.run_cell(line).raise_error()
        (values,) = read
        read.clear()
        return values

    return run


def test_every_option_has_values_to_try():
    assert VALUES.keys() == {each.name for each in OPTIONS}


@many
@given(model=TEXT | PATHS, options=OPTIONAL)
@example(model="-x/model", options={})
@example(model="", options={"engine": ""})
@example(model="two\nlines", options={"engine": "-x"})
def test_a_line_asks_for_an_equal_request(asked, model, options):
    try:
        request = LoadRequest.of(model, options, known_settings())
    except LoadRefused:  # options that do not go together, such as replicas with keep
        assume(False)
    understood = asked(request.line)
    assert not understood.silent
    again = LoadRequest.of(understood.model, options_of(understood) | _secret(options), known_settings())
    assert again == request
    assert again.line == LoadRequest.of(understood.model, options_of(understood), known_settings()).line


def _secret(options):
    """Return the environment variables of a request, which its line leaves out."""
    return {"env": options["env"]} if "env" in options else {}


@many
@given(model=TEXT | PATHS)
@example(model="-x/model")
@example(model=Path("-x/model"))
def test_the_line_of_a_record_asks_for_an_equal_request(asked, model):
    request = LoadRequest.of(model, {}, known_settings())
    record = InstanceRecord("id", "name", "process", Owner(1), 0.0, asked=request.model)
    line = record.load_line
    assert (line[0], line[-1]) == ("`", "`")
    understood = asked(line[1:-1])
    if request.model:  # without it, the name of the model is used
        assert LoadRequest.of(understood.model, options_of(understood), known_settings()) == request


@pytest.mark.parametrize("pair", LINES, ids=[pair["line"] for pair in LINES])
def test_the_form_writes_the_same_lines_as_python_for_the_chosen_options(asked, pair):
    model, options = pair["asked"]["model"], {name: each for name, each in pair["asked"].items() if name != "model"}
    understood = asked(pair["line"])
    assert not understood.silent
    request = LoadRequest.of(model, options, known_settings())
    assert LoadRequest.of(understood.model, options_of(understood), known_settings()) == request
    # The user types environment variables into the form. The line that Python keeps for a load leaves them out.
    assert request.line == pair["line"].partition(" --env")[0]


def test_the_request_of_the_form_is_valid_for_http():
    for pair in LINES:
        body = {name: value for name, value in pair["asked"].items() if name != "serve"}
        assert not description.complaint("LoadRequest", body) or not body["model"], pair
