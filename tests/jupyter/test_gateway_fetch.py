"""Fetching pictures from their addresses: only from the public internet, never from this machine or its network."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import Resolver
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from gpumodels.jupyter.gateway import fetching
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.gateway.fetching import Fetch, check, is_public

PUBLIC = "93.184.216.34"


class Picture(RequestHandler):
    """A handler of pages by name. Some are pictures, others are what a hostile server sends."""

    async def get(self, what):
        match what:
            case "again":
                self.redirect("/again")
            case "inwards":
                self.redirect("http://inside.lab/picture")
            case "file":
                self.redirect("file:///etc/passwd")
            case "endless":
                while True:
                    self.write(b"x" * 10_000)
                    await self.flush()
            case "large":
                self.write(b"x" * 10_000)
            case "slow":
                self.write(b"x")
                await self.flush()
                await asyncio.sleep(600)
            case "moved":
                self.redirect("/picture")
            case "picture":
                self.write(b"a picture")
            case _:
                self.send_error(404)


class FakeResolver(Resolver):
    """A resolver of made-up names. `asked` are the names that it resolved."""

    def initialize(self, names, port):
        self.names, self.port, self.asked = names, port, []

    async def resolve(self, host, port, family=0):
        self.asked.append(host)
        return [(2, (address, port)) for address in self.names[host]]


@pytest.fixture
def web(jp_asyncio_loop):
    """The port of a web server on this machine, with the pages of `Picture`."""
    socket, port = bind_unused_port()

    async def begin():
        server = HTTPServer(Application([("/(.*)", Picture)]))
        server.add_socket(socket)
        return server

    server = jp_asyncio_loop.run_until_complete(begin())
    yield port
    server.stop()
    jp_asyncio_loop.run_until_complete(server.close_all_connections())


@pytest.fixture
def fetch(web, monkeypatch):
    """A function that fetches a page: `await fetch("picture")`. The server's address counts as public."""
    names = {"pictures.org": ["127.0.0.1"], "inside.lab": ["10.0.0.7"], "both.lab": ["127.0.0.1", "10.0.0.7"]}
    monkeypatch.setattr(fetching, "is_public", lambda text: text == "127.0.0.1" or is_public(text))

    async def get(*paths, host="pictures.org", limit=5000):
        urls = [f"http://{host}:{web}/{path}" for path in paths]
        return await Fetch(limit, FakeResolver(names, web)).all(urls)

    return get


async def refused(asking):
    with pytest.raises(Refused) as error:
        await asking
    assert "\n" not in str(error.value)
    return error.value.status, str(error.value)


async def test_pictures_are_fetched_through_redirects(fetch):
    assert await fetch("picture", "moved", "picture") == [b"a picture"] * 3


async def test_large_slow_and_missing_pictures_are_refused(fetch, monkeypatch):
    for path in ("large", "endless"):
        status, message = await refused(fetch(path))
        assert (status, "is too large: the pictures of one call may have 5000 bytes in all" in message) == (
            413,
            True,
        ), message
    assert (await refused(fetch("picture", "picture", limit=15)))[0] == 413
    status, message = await refused(fetch("missing"))
    assert (status, "answered 404" in message) == (502, True)
    assert "more than 3 redirects" in (await refused(fetch("again")))[1]
    monkeypatch.setattr(fetching, "_WITHIN", 0.5)
    assert "could not be fetched" in (await refused(fetch("slow")))[1]


async def test_private_addresses_are_refused_by_name_and_behind_a_redirect(fetch):
    for path, host in (("picture", "inside.lab"), ("picture", "both.lab"), ("inwards", "pictures.org")):
        status, message = await refused(fetch(path, host=host))
        assert (status, "not in the public internet" in message) == (400, True), message
    assert "give an http or https address" in (await refused(fetch("file")))[1]


async def test_every_spelling_of_this_machine_is_refused(web):
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"):
        status, _ = await refused(Fetch(5000).all([f"http://{host}:{web}/picture"]))
        assert status in {400, 502}, host


async def test_the_connection_is_made_to_the_checked_address(web, monkeypatch):
    """Resolve a name only once, so that a name which resolves to something else the next time gains nothing."""
    resolver = FakeResolver({"pictures.org": ["127.0.0.1"]}, web)
    monkeypatch.setattr(fetching, "is_public", lambda text: True)
    assert await Fetch(5000, resolver).all([f"http://pictures.org:{web}/picture"]) == [b"a picture"]
    assert resolver.asked == ["pictures.org"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
        "2001:0:a00:1::1", "not an address", "",
    ],
)  # fmt: skip
def test_no_address_of_this_machine_or_network_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://pictures.org/a.png", "http://", "http:///a.png", "//pictures.org/a.png", "gopher://x",
        "http://user:word@pictures.org/", "http://pictures.org:0/", "http://pictures.org:99999/", "http://[::1/",
        "http://a b/", "http://pictures.org/\r\nHost: x", "http://bücher.example/", "",
    ],
)  # fmt: skip
def test_other_schemes_and_malformed_addresses_are_refused(url):
    with pytest.raises(Refused, match="give an http or https address without a password"):
        check(url)
