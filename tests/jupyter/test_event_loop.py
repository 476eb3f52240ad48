"""The Jupyter server answers others while a driver, a disk or an engine takes its time with ours."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest
from tornado.httpclient import HTTPClientError

from gpumodels import catalog, engines
from gpumodels.doctor import checks
from gpumodels.instances import loads, logs, registry, sleep
from gpumodels.lease import events
from gpumodels.loading import api
from tests.jupyter.test_access import ASKED

TAKES = 1.0  # seconds
SLOW = (
    (registry, "running"),
    (registry, "stop_instance"),
    (sleep, "sleep_instance"),
    (sleep, "sleeping"),
    (sleep, "wake_here"),
    (loads, "list_loads"),
    (loads, "dismiss_load"),
    (api, "load"),
    (checks, "run_checks"),
    (catalog, "names"),
    (engines, "engine"),
    (events, "read"),
    (logs, "last_lines_of"),
)


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def slowed(monkeypatch):
    """Which of the manager's functions were called; each takes long."""
    called = set()

    def slow(module, name):
        does = getattr(module, name)

        def taking(*given, **named):
            called.add((module, name))
            time.sleep(TAKES)
            return does(*given, **named)

        monkeypatch.setattr(module, name, taking)

    for module, name in SLOW:
        slow(module, name)
    return called


async def _longest_wait():
    """Seconds that the loop took at most to come round, until cancelled."""
    longest = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
    return longest


async def test_nothing_that_we_are_asked_keeps_the_loop_from_others(jp_fetch, jp_ws_fetch, slowed):
    async def ask(path, verb):
        body = '{"model": "nobody"}' if verb in ("POST", "PUT") else None
        with suppress(HTTPClientError):
            await jp_fetch("gpumodels", *path.split("/"), method=verb, body=body)

    socket = await jp_ws_fetch("gpumodels", "api", "feed")
    waiting = asyncio.ensure_future(_longest_wait())
    await asyncio.gather(*(ask(path, verb) for path, verb in ASKED if path != "api/feed"))
    assert await socket.read_message()
    waiting.cancel()
    assert await waiting < 0.9 * TAKES
    assert {*SLOW} - slowed == {(sleep, "wake_here")}, "all was asked, but for a model that sleeps here"
