"""The counts of benchmarks/load_trace.py on a small package."""

import importlib
import sys

import pytest

from benchmarks.load_trace import Trace

FILES = {
    "__init__": "",
    "api": "from traced import client, lease\n"
    "def load():\n    return lease.take([number for number in range(3)]) + client.wait_ready()\n",
    "lease": "def take(numbers):\n    return _first(numbers) + sorted(numbers, key=_key)[0]\n"
    "def _first(numbers):\n    open(__file__.removesuffix('.py')).close()\n    return next(_each(numbers))\n"
    "def _each(numbers):\n    yield from numbers\n"
    "def _key(number):\n    return number\n",
    "client": "import itertools\nfrom traced import checks\n"
    "def wait_ready():\n    for attempt in itertools.count():\n        if _ready(attempt):\n            return 0\n"
    "        checks.alive()\n"
    "def _ready(attempt):\n    return attempt == 5 and checks.ready()\n",
    "checks": "def alive():\n    pass\ndef ready():\n    return True\n",
}


@pytest.fixture
def traced(tmp_path, monkeypatch):
    folder = tmp_path / "traced"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "lease").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    api = importlib.import_module("traced.api")
    with Trace(folder) as trace:
        api.load()
    yield trace
    for name in [name for name in sys.modules if name.partition(".")[0] == "traced"]:
        del sys.modules[name]


def test_calls_are_listed_without_comprehensions_and_all_attempts_but_the_last(traced):
    assert [call.qualified for call in traced.calls] == [
        "api.load",
        "lease.take",
        "lease._first",
        "lease._each",
        "lease._key",
        "lease._key",
        "lease._key",
        "client.wait_ready",
        "client._ready",
        "checks.ready",
    ]


def test_moves_and_calls_across_files_are_counted(traced):
    assert traced.moves == 3
    assert traced.across == {("api.py", "lease.py"): 1, ("api.py", "client.py"): 1, ("client.py", "checks.py"): 1}


def test_functions_and_opened_lease_files_are_counted(traced):
    assert traced.count("lease.*", "nothing.*") == 6
    assert traced.opened == 1
