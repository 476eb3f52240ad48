"""Looks at an instance: one look opens the lease file once, and returns the state, the leash and the use together."""

from __future__ import annotations

import sys

import pytest

from gpumodels.instances import running
from gpumodels.lease.held import LeaseState

_opened: list[str] | None = None  # while they are counted


def _note(event, given):
    if event == "open" and _opened is not None:
        _opened.append(str(given[0]))


sys.addaudithook(_note)


@pytest.fixture
def opened(monkeypatch):
    """The paths of the files that this process opens."""
    paths = []
    monkeypatch.setitem(globals(), "_opened", paths)
    return paths


def test_a_view_of_all_instances_opens_each_lease_once(puppet, runtime, opened):
    other = puppet()
    other.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none', keep='1m')")
    opened.clear()
    (record,) = running(runtime)
    assert [path for path in opened if path.endswith("/lease")] == [str(runtime.directory(record.id).lease_file)]
    look = runtime.directory(record.id).look()
    assert (look.state, look.leash_lives, look.in_use) == (LeaseState.HELD, True, True)
    other.do("m.stop()")
