"""The WebSocket of changes, with the real manager behind it; and who is slow, with a browser that the test plays."""

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
    """When the state was read."""
    read, found = states.read, []

    async def counted(*given):
        found.append(time.monotonic())
        return await read(*given)

    monkeypatch.setattr(states, "read", counted)
    return found


async def hear(socket, right, within=60):
    """The next message for which `right` holds."""
    async with asyncio.timeout(within):
        while True:
            text = await socket.read_message()
            assert text is not None, "the server closed the feed"
            if right(message := json.loads(text)):
                return message


def kind(*kinds):
    return lambda message: message["type"] in kinds


def tells_of(instance):
    return lambda message: instance in message.get("change", {}).get("models", {})


async def test_all_is_told_first_and_then_what_changes(jp_ws_fetch):
    socket = await jp_ws_fetch(*FEED)
    first = json.loads(await socket.read_message())
    assert first["type"] == "snapshot"
    assert (first["state"]["models"], first["state"]["devices"]) == ({}, {})
    assert first["state"]["trouble"]
    model = await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none")
    instance = model.record.id
    told = await hear(socket, lambda message: tells_of(instance)(message) and _state_of(message, instance) == "ready")
    assert told["change"]["models"][instance]["name"] == "echo"
    await asyncio.to_thread(model.stop)
    await hear(socket, lambda message: tells_of(instance)(message) and _model_of(message, instance) is None)


def _model_of(message, instance):
    return message["change"]["models"][instance]


def _state_of(message, instance):
    return (_model_of(message, instance) or {}).get("state")


async def test_a_model_that_nobody_calls_does_not_change_which_is_told(jp_ws_fetch, monkeypatch):
    monkeypatch.setattr(feeds, "_QUIET", 0.0)
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none"):
        socket = await jp_ws_fetch(*FEED)
        await hear(socket, kind("alive"))
        assert (await hear(socket, kind("alive", "change")))["type"] == "alive"


async def test_a_call_moves_the_counter_and_is_when_the_model_was_last_in_use(jp_ws_fetch):
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none") as model:
        socket = await jp_ws_fetch(*FEED)
        told = (await hear(socket, kind("snapshot")))["state"]["models"][model.record.id]
        assert (told["activity"]["calls"], told["idle_since"]) == (0, model.record.created)
        await asyncio.to_thread(model, "hello")
        told = (await hear(socket, tells_of(model.record.id)))["change"]["models"][model.record.id]
        assert told["activity"]["calls"] == 1
        assert told["idle_since"] > model.record.created


async def test_who_connects_again_gets_all_of_it(jp_ws_fetch, monkeypatch):
    monkeypatch.setattr(feeds, "_FRESH", 0.0)
    socket = await jp_ws_fetch(*FEED)
    await hear(socket, kind("snapshot"))
    socket.close()
    with await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none") as model:
        again = json.loads(await (await jp_ws_fetch(*FEED)).read_message())
        assert (again["type"], list(again["state"]["models"])) == ("snapshot", [model.record.id])


async def test_twenty_browsers_cost_one_reading_a_second_and_none_costs_nothing(jp_ws_fetch, jp_fetch, samplings):
    sockets = [await jp_ws_fetch(*FEED) for _ in range(20)]
    began = time.monotonic()
    for socket in sockets:
        await hear(socket, kind("snapshot"))
    for _ in range(20):
        await jp_fetch("gpumodels", "api", "state")
    await asyncio.sleep(1)
    assert len(samplings) <= time.monotonic() - began + 3
    for socket in sockets[:10]:
        await socket.write_message('{"type": "pause"}')
    for socket in sockets[10:]:
        socket.close()
    await asyncio.sleep(0.5)
    asleep = len(samplings)
    await asyncio.sleep(1.5)
    assert len(samplings) == asleep
    await sockets[0].write_message('{"type": "resume"}')
    await hear(sockets[0], kind("snapshot"))
    assert len(samplings) > asleep


@pytest.mark.parametrize("nonsense", ["", "pause", "[]", '{"type": 1}', "\x00", "null"])
async def test_what_means_nothing_is_ignored(nonsense, jp_ws_fetch):
    socket = await jp_ws_fetch(*FEED)
    await socket.write_message(nonsense)
    await hear(socket, kind("snapshot"))
    await socket.write_message('{"type": "resume"}')
    await hear(socket, kind("snapshot"))


async def test_a_state_that_cannot_be_read_is_told_and_then_all_of_it(jp_ws_fetch, monkeypatch, tmp_path):
    socket = await jp_ws_fetch(*FEED)
    await hear(socket, kind("snapshot"))
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "file"))
        assert "GPUMODELS_RUNTIME_DIR" in (await hear(socket, kind("trouble")))["message"]
    await hear(socket, kind("snapshot"))


async def _refused(connecting):
    with pytest.raises(HTTPClientError) as refused:
        await connecting
    return refused.value.code


async def test_nobody_listens_without_the_token(jp_ws_fetch, jp_serverapp):
    assert await _refused(jp_ws_fetch(*FEED, headers={"Authorization": "token wrong"})) == 403
    token = jp_serverapp.identity_provider.token
    socket = await jp_ws_fetch(*FEED, headers={"Authorization": ""}, params={"token": token})
    await hear(socket, kind("snapshot"))


async def test_a_page_of_another_site_does_not_listen(jp_ws_fetch, jp_http_port, jp_base_url, jp_auth_header):
    """Its socket would send the cookie, as any request of that browser does."""
    page = f"http://localhost:{jp_http_port}{jp_base_url}gpumodels/api/models"  # the name is a part of the cookie
    login = (await AsyncHTTPClient().fetch(page, headers=jp_auth_header)).headers["Set-Cookie"].partition(";")[0]
    cookie = {"Authorization": "", "Cookie": login}
    assert await _refused(jp_ws_fetch(*FEED, headers={**cookie, "Origin": "https://evil.example"})) == 403
    socket = await jp_ws_fetch(*FEED, headers={**cookie, "Origin": f"http://localhost:{jp_http_port}"})
    await hear(socket, kind("snapshot"))


async def test_an_authorizer_that_allows_no_reading_is_obeyed(jp_ws_fetch, jp_serverapp, monkeypatch):
    monkeypatch.setattr(
        type(jp_serverapp.authorizer), "is_authorized", lambda self, handler, user, action, resource: action != "read"
    )
    assert await _refused(jp_ws_fetch(*FEED)) == 403


class Played:
    """A browser that takes messages when it is told to; and the feed of a number that counts the readings."""

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
            while not condition():  # noqa: ASYNC110  of many kinds
                await asyncio.sleep(0.005)


async def test_a_slow_browser_gets_all_of_it_anew_and_no_queue(jp_asyncio_loop, monkeypatch):
    played = Played(monkeypatch)
    played.feed.join(played.viewer)
    await played.until(lambda: played.readings > 5)
    assert [message["type"] for message in played.sent] == ["snapshot"], "the second waits until the first has gone"
    missed = played.readings
    played.last.set_result(None)
    await played.until(lambda: len(played.sent) > 1)
    assert played.sent[1]["type"] == "snapshot"
    assert played.sent[1]["state"]["models"]["echo-1"]["calls"] >= missed
    played.last.set_result(None)
    await played.until(lambda: len(played.sent) > 2)
    assert played.sent[2]["type"] == "change"
    played.feed.leave(played.viewer)


async def test_a_reading_that_hangs_is_told_and_begun_only_once(jp_asyncio_loop, monkeypatch):
    played, hangs = Played(monkeypatch), asyncio.Event()
    monkeypatch.setattr(feeds, "_PATIENCE", 0.05)
    begun = []

    async def read():
        begun.append(1)
        await hangs.wait()
        return await played._read()

    played.feed._read = read
    played.feed.join(played.viewer)
    await played.until(lambda: played.sent)
    assert (played.sent[0]["type"], len(begun)) == ("trouble", 1)
    played.last.set_result(None)
    await played.until(lambda: len(played.sent) > 1)
    assert len(begun) == 1
    hangs.set()
    played.last.set_result(None)
    await played.until(lambda: played.sent[-1]["type"] == "snapshot")
    played.feed.leave(played.viewer)
