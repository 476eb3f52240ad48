"""The feed, over a real WebSocket with real models, and with a simulated slow browser."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

import gpumodels
from gpumodels.jupyter import feed as feeds
from gpumodels.jupyter import state as states
from gpumodels.jupyter.feed import Feed, Viewer

FEED = ("gpumodels", "api", "feed")


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def samplings(monkeypatch):
    """The times at which the state was read."""
    read, times = states.read, []

    async def counted(*arguments):
        times.append(time.monotonic())
        return await read(*arguments)

    monkeypatch.setattr(states, "read", counted)
    return times


async def receive(socket, right, within=60):
    """Return the next message for which `right` holds."""
    async with asyncio.timeout(within):
        while True:
            text = await socket.read_message()
            assert text is not None, "the server closed the feed"
            if right(message := json.loads(text)):
                return message


def kind(*kinds):
    return lambda message: message["type"] in kinds


def changes(instance):
    return lambda message: instance in message.get("change", {}).get("models", {})


async def test_a_snapshot_comes_first_and_then_changes(jp_ws_fetch):
    socket = await jp_ws_fetch(*FEED)
    first = json.loads(await socket.read_message())
    assert first["type"] == "snapshot"
    assert (first["state"]["models"], first["state"]["devices"]) == ({}, {})
    assert first["state"]["trouble"]
    model = await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none")
    instance = model.record.id
    message = await receive(
        socket, lambda message: changes(instance)(message) and _state_of(message, instance) == "ready"
    )
    assert message["change"]["models"][instance]["name"] == "echo"
    await asyncio.to_thread(model.stop)
    await receive(socket, lambda message: changes(instance)(message) and _model_of(message, instance) is None)


def _model_of(message, instance):
    return message["change"]["models"][instance]


def _state_of(message, instance):
    return (_model_of(message, instance) or {}).get("state")


async def test_an_idle_model_sends_no_changes_but_alive_messages(jp_ws_fetch, monkeypatch):
    monkeypatch.setattr(feeds, "_QUIET", 0.0)
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none"):
        socket = await jp_ws_fetch(*FEED)
        await receive(socket, kind("alive"))
        assert (await receive(socket, kind("alive", "change")))["type"] == "alive"


async def test_a_call_updates_the_counter_and_the_time_of_last_use(jp_ws_fetch):
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none") as model:
        socket = await jp_ws_fetch(*FEED)
        described = (await receive(socket, kind("snapshot")))["state"]["models"][model.record.id]
        assert (described["activity"]["calls"], described["idle_since"]) == (0, model.record.created)
        await asyncio.to_thread(model, "hello")
        described = (await receive(socket, changes(model.record.id)))["change"]["models"][model.record.id]
        assert described["activity"]["calls"] == 1
        assert described["idle_since"] > model.record.created


async def test_a_new_connection_gets_a_snapshot(jp_ws_fetch, monkeypatch):
    monkeypatch.setattr(feeds, "_FRESH", 0.0)
    socket = await jp_ws_fetch(*FEED)
    await receive(socket, kind("snapshot"))
    socket.close()
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none") as model:
        again = json.loads(await (await jp_ws_fetch(*FEED)).read_message())
        assert (again["type"], list(again["state"]["models"])) == ("snapshot", [model.record.id])


async def test_twenty_browsers_cost_one_reading_a_second_and_none_costs_nothing(jp_ws_fetch, jp_fetch, samplings):
    sockets = [await jp_ws_fetch(*FEED) for _ in range(20)]
    began = time.monotonic()
    for socket in sockets:
        await receive(socket, kind("snapshot"))
    for _ in range(20):
        await jp_fetch("gpumodels", "api", "state")
    await asyncio.sleep(1)
    assert len(samplings) <= time.monotonic() - began + 3
    for socket in sockets[:10]:
        await socket.write_message('{"type": "pause"}')
    for socket in sockets[10:]:
        socket.close()
    await asyncio.sleep(0.5)
    paused = len(samplings)
    await asyncio.sleep(1.5)
    assert len(samplings) == paused
    await sockets[0].write_message('{"type": "resume"}')
    await receive(sockets[0], kind("snapshot"))
    assert len(samplings) > paused


@pytest.mark.parametrize("message", ["", "pause", "[]", '{"type": 1}', "\x00", "null"])
async def test_unknown_messages_are_ignored(message, jp_ws_fetch):
    socket = await jp_ws_fetch(*FEED)
    await socket.write_message(message)
    await receive(socket, kind("snapshot"))
    await socket.write_message('{"type": "resume"}')
    await receive(socket, kind("snapshot"))


async def test_an_unreadable_state_is_reported_and_followed_by_a_snapshot(jp_ws_fetch, monkeypatch, tmp_path):
    socket = await jp_ws_fetch(*FEED)
    await receive(socket, kind("snapshot"))
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "file"))
        assert "GPUMODELS_RUNTIME_DIR" in (await receive(socket, kind("trouble")))["message"]
    await receive(socket, kind("snapshot"))


async def _refused(connecting):
    with pytest.raises(HTTPClientError) as refused:
        await connecting
    return refused.value.code


async def test_the_feed_needs_the_token(jp_ws_fetch, jp_serverapp):
    assert await _refused(jp_ws_fetch(*FEED, headers={"Authorization": "token wrong"})) == 403
    token = jp_serverapp.identity_provider.token
    socket = await jp_ws_fetch(*FEED, headers={"Authorization": ""}, params={"token": token})
    await receive(socket, kind("snapshot"))


async def test_a_page_of_another_site_cannot_open_the_feed(jp_ws_fetch, jp_http_port, jp_base_url, jp_auth_header):
    """Connect as another site's page would: the browser sends the cookie, but also the origin of the page."""
    page = f"http://localhost:{jp_http_port}{jp_base_url}gpumodels/api/models"  # the cookie belongs to this host name
    login = (await AsyncHTTPClient().fetch(page, headers=jp_auth_header)).headers["Set-Cookie"].partition(";")[0]
    cookie = {"Authorization": "", "Cookie": login}
    assert await _refused(jp_ws_fetch(*FEED, headers={**cookie, "Origin": "https://evil.example"})) == 403
    socket = await jp_ws_fetch(*FEED, headers={**cookie, "Origin": f"http://localhost:{jp_http_port}"})
    await receive(socket, kind("snapshot"))


async def test_an_authorizer_that_allows_no_reading_is_obeyed(jp_ws_fetch, jp_serverapp, monkeypatch):
    monkeypatch.setattr(
        type(jp_serverapp.authorizer), "is_authorized", lambda self, handler, user, action, resource: action != "read"
    )
    assert await _refused(jp_ws_fetch(*FEED)) == 403


class SlowBrowser:
    """A browser that takes a message when the test says so, on a feed with a model that counts the readings."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(feeds, "_EVERY", 0.02)
        monkeypatch.setattr(feeds, "_FRESH", 0.0)
        self.readings, self.sent, self.last = 0, [], None
        self.feed = Feed(self._read, logging.getLogger("feed"))
        self.viewer = Viewer(self._write)

    async def _read(self):
        self.readings += 1
        tables = {name: {} for name in ("devices", "loads", "kernels")}
        return {"place": "here", "moment": 0.0, "trouble": "", "docker": "", "events": [],
                "models": {"echo-1": {"calls": self.readings}}, **tables}  # fmt: skip

    def _write(self, text):
        self.sent.append(json.loads(text))
        self.last = asyncio.get_running_loop().create_future()
        return self.last

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110  (many kinds of conditions)
                await asyncio.sleep(0.005)


async def test_a_slow_browser_gets_a_new_snapshot_and_no_queue(jp_asyncio_loop, monkeypatch):
    browser = SlowBrowser(monkeypatch)
    browser.feed.join(browser.viewer)
    await browser.until(lambda: browser.readings > 5)
    assert [message["type"] for message in browser.sent] == ["snapshot"], (
        "no message is sent before the last one has been taken"
    )
    missed = browser.readings
    browser.last.set_result(None)
    await browser.until(lambda: len(browser.sent) > 1)
    assert browser.sent[1]["type"] == "snapshot"
    assert browser.sent[1]["state"]["models"]["echo-1"]["calls"] >= missed
    browser.last.set_result(None)
    await browser.until(lambda: len(browser.sent) > 2)
    assert browser.sent[2]["type"] == "change"
    browser.feed.leave(browser.viewer)


async def test_a_reading_that_hangs_is_reported_and_not_repeated(jp_asyncio_loop, monkeypatch):
    browser, resume = SlowBrowser(monkeypatch), asyncio.Event()
    monkeypatch.setattr(feeds, "_PATIENCE", 0.05)
    begun = []

    async def read():
        begun.append(1)
        await resume.wait()
        return await browser._read()

    browser.feed._read = read
    browser.feed.join(browser.viewer)
    await browser.until(lambda: browser.sent)
    assert (browser.sent[0]["type"], len(begun)) == ("trouble", 1)
    browser.last.set_result(None)
    await browser.until(lambda: len(browser.sent) > 1)
    assert len(begun) == 1
    resume.set()
    browser.last.set_result(None)
    await browser.until(lambda: browser.sent[-1]["type"] == "snapshot")
    browser.feed.leave(browser.viewer)
