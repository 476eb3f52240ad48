"""The event loop of the Jupyter server. It must not wait while a driver, a disk or an engine is slow."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest
from tornado.httpclient import HTTPClientError

from gpumodels import catalog, engines
from gpumodels.doctor import checks
from gpumodels.instances import loads, logs, registry, sleep
from gpumodels.jupyter import state
from gpumodels.lease import events
from gpumodels.loading import api
from tests.jupyter.test_access import REQUESTS

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
    (state, "read_overview"),
    (logs, "last_lines_of"),
)


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def slowed(monkeypatch):
    """The set of the functions of `SLOW` that were called. Each call takes a second."""
    called = set()

    def slow(module, name):
        function = getattr(module, name)

        def slowly(*arguments, **named):
            called.add((module, name))
            time.sleep(TAKES)
            return function(*arguments, **named)

        monkeypatch.setattr(module, name, slowly)

    for module, name in SLOW:
        slow(module, name)
    return called


async def _longest_wait():
    """Measure until it is cancelled, and return the longest time between two rounds of the event loop, in seconds."""
    longest = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
    return longest


async def test_no_request_blocks_the_event_loop(jp_fetch, jp_ws_fetch, slowed):
    async def ask(path, verb):
        body = '{"model": "nobody"}' if verb in ("POST", "PUT") else None
        with suppress(HTTPClientError):
            await jp_fetch("gpumodels", *path.split("/"), method=verb, body=body)

    socket = await jp_ws_fetch("gpumodels", "api", "feed")
    waiting = asyncio.ensure_future(_longest_wait())
    await asyncio.gather(*(ask(path, verb) for path, verb in REQUESTS if path != "api/feed"))
    assert await socket.read_message()
    waiting.cancel()
    assert await waiting < 0.9 * TAKES
    assert {*SLOW} - slowed == {(sleep, "wake_here")}, "all were called but this one, for which no model sleeps here"
