"""The five fronts of a load offer the same options: Python, the magic, the command line, HTTP and the sidebar."""

from __future__ import annotations

import argparse
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import gpumodels
from gpumodels.cli.app import command
from gpumodels.jupyter import description
from gpumodels.loading import OPTIONS, schema
from gpumodels.magics.arguments import LOAD

CHECKOUT = Path(__file__).parents[3]
NAMES = [each.name for each in OPTIONS]

#: Parameters and arguments of a front that are no options of a load.
PYTHON_ALONE = {"model", "in_place_of", "report", "load_id"}
MAGIC_ALONE = {"help", "model", "variable"}
COMMAND_ALONE = {"model", "help"}
#: Options that HTTP does not offer; request.py says why.
NOT_BY_HTTP = {"serve"}
#: `gpumodels run` holds a model until it is stopped, so there it does not sleep by default.
COMMAND_DEFAULTS = {"idle": "never"}

#: The types of a value in JSON, by kind. Text may have more.
JSON_TYPES = {
    "switch": {"boolean"},
    "count": {"integer"},
    "duration": {"string", "number"},
    "settings": {"object"},
}


def _python():
    found = inspect.signature(gpumodels.load).parameters
    return {name: each for name, each in found.items() if name not in PYTHON_ALONE}


def _magic():
    return {each.dest: each for each in LOAD._actions if each.dest not in MAGIC_ALONE}


def _command():
    return {each.name: each for each in command().commands["run"].params if each.name not in COMMAND_ALONE}


def _http():
    properties = description.DOCUMENT["components"]["schemas"]["LoadRequest"]["properties"]
    return {name: each for name, each in properties.items() if name != "model"}


def _sidebar():
    text = (CHECKOUT / "labextension/src/options.ts").read_text(encoding="utf-8")
    rows, _ = json.JSONDecoder().raw_decode(text, text.index("[\n  {"))
    return {row["name"]: row for row in rows}


def test_every_front_offers_every_option():
    fronts = {"load": _python(), "%load_model": _magic(), "gpumodels run": _command(), "the sidebar": _sidebar()}
    assert {front: list(offered) for front, offered in fronts.items()} == dict.fromkeys(fronts, NAMES)
    assert list(_http()) == [name for name in NAMES if name not in NOT_BY_HTTP]


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_python_takes_it(option):
    parameter = _python()[option.name]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert (parameter.default, parameter.annotation) == (option.default, option.types)
    assert f"    {option.name} : {option.types}, optional\n" in gpumodels.load.__doc__
    assert " ".join(option.doc.split()) in " ".join(gpumodels.load.__doc__.split())


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_magic_takes_it(option):
    action = _magic()[option.name]
    assert (action.option_strings, action.help) == ([option.flag], option.help)
    assert (action.default, action.metavar or "") == (argparse.SUPPRESS, option.metavar)
    word = {"count": "3", "duration": "5m", "settings": "A=1"}.get(option.kind, "text")
    value = {"count": 3, "duration": "5m", "settings": [("A", "1")], "switch": not option.default}
    words = [option.flag] if option.kind == "switch" else [option.flag, word]
    assert vars(LOAD.read(" ".join(["ctpn", *words])))[option.name] == value.get(option.kind, word)


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_command_takes_it(option):
    found = _command()[option.name]
    clause = option.help.partition(" (default: ")[0] if option.name in COMMAND_DEFAULTS else option.help
    assert found.help == f"{clause[:1].upper()}{clause[1:]}."
    assert (found.opts, found.secondary_opts, found.metavar or "") == ([option.flag], [], option.metavar)
    assert (found.is_flag, found.multiple) == (option.kind == "switch", option.kind == "settings")
    not_given = False if option.kind == "switch" else None
    assert found.default == COMMAND_DEFAULTS.get(option.name, not_given)
    assert ("int" in str(found.type_descriptor).lower()) == (option.kind == "count")


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_http_takes_it(option):
    if option.name in NOT_BY_HTTP:
        assert option.schema is None
        return
    described = _http()[option.name]
    types = described["type"] if isinstance(described["type"], list) else [described["type"]]
    assert set(types) == JSON_TYPES.get(option.kind, set(types) | {"string"})
    assert (described["description"], described.get("default")) == (option.doc, option.default)


@pytest.mark.parametrize("option", OPTIONS, ids=NAMES)
def test_the_sidebar_takes_it(option):
    row = _sidebar()[option.name]
    assert row.pop("examples") == list(option.examples)
    assert row == {fact: getattr(option, fact) for fact in ("name", "flag", "kind", "metavar", "help", "default")}


def test_what_is_generated_is_not_stale():
    assert description.DOCUMENT["components"]["schemas"]["LoadRequest"] == schema()
    check = [sys.executable, "labextension/generate.py", "--check"]
    done = subprocess.run(check, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
