"""Pictures by their address, fetched by the Jupyter server: only where the settings allow it, and only from the public
internet.

An address is checked when its name has been resolved, and the connection is made to the very address that was
checked, so a name that resolves otherwise the next time gains nothing. Each redirect is a new request that is checked
likewise.
"""

from __future__ import annotations

import asyncio
import socket
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tornado.httpclient import HTTPRequest
from tornado.netutil import DefaultLoopResolver, Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from gpumodels.jupyter.gateway.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httpclient import HTTPResponse

_REDIRECTS = 3
_AT_ONCE = 4
_WITHIN = 20.0  # seconds for one picture, redirects included
_NAT64 = IPv6Network("64:ff9b::/96")
_OK, _MOVED, _NOTHING = 200, {301, 302, 303, 307, 308}, 599  # 599 is tornado's, where no answer came


class Fetch:
    """Fetches the pictures of one call, `limit` bytes in all."""

    def __init__(self, limit: int, resolver: Resolver | None = None) -> None:
        self._limit = self._left = limit
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._client = SimpleAsyncHTTPClient(
            force_instance=True,
            resolver=Checked(resolver or DefaultLoopResolver()),
            max_clients=_AT_ONCE,
            max_buffer_size=max(limit, 1 << 16),
            max_body_size=limit,
        )

    async def all(self, urls: Sequence[str]) -> list[bytes]:
        """What lies at these addresses; raises Refused."""
        tasks = [asyncio.ensure_future(self._one(url)) for url in urls]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            self._client.close()

    async def _one(self, url: str) -> bytes:
        async with self._turn:
            deadline = time.monotonic() + _WITHIN
            for _ in range(_REDIRECTS + 1):
                check(url)
                answer, body = await self._asked(url, deadline - time.monotonic())
                if answer.code not in _MOVED:
                    break
                url = urljoin(url, answer.headers.get("Location", ""))
            else:
                raise Refused(502, f"{url:.200} was reached by more than {_REDIRECTS} redirects")
            if answer.code != _OK:
                raise Refused(502, f"{url:.200} answered {answer.code} {answer.reason:.80}")
            return body

    async def _asked(self, url: str, seconds: float) -> tuple[HTTPResponse, bytes]:
        came: list[bytes] = []

        def take(chunk: bytes) -> None:
            self._left -= len(chunk)
            if self._left >= 0:  # more is dropped: the server may say whatever it likes of the length
                came.append(chunk)

        request = HTTPRequest(
            url,
            connect_timeout=max(seconds, 0.01),
            request_timeout=max(seconds, 0.01),
            follow_redirects=False,
            decompress_response=False,
            streaming_callback=take,
            user_agent="gpumodels",
        )
        answer = await self._client.fetch(request, raise_error=False)
        if self._left < 0 or "too l" in str(answer.error):
            raise Refused(413, f"{url:.200} is too large: pictures may have {self._limit} bytes together")
        if isinstance(answer.error, Refused):
            raise answer.error
        if answer.error is not None and answer.code == _NOTHING:
            raise Refused(502, f"{url:.200} could not be fetched: {answer.error}")
        return answer, b"".join(came)


class Checked(Resolver):
    """Resolves names to public addresses; one that has any other is refused altogether."""

    def initialize(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(address[0]) for _, address in found):
            raise Refused(400, f"{host:.100} is not fetched: it is no address of the public internet")
        return found


def check(url: str) -> None:
    """Raise Refused for an address that is none of http or https, or that holds a password."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable():
        raise Refused(400, f"{url!r:.200} is not fetched: only http and https addresses without a password are")


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, and so is any IPv4 address that an IPv6 one stands for."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    unlike = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_reserved", "is_unspecified")
    if not address.is_global or any(getattr(address, each) for each in unlike):
        return False
    return isinstance(address, IPv4Address) or all(is_public(str(inner)) for inner in _within(address))


def _within(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses to which one leads: mapped, by 6to4, Teredo or NAT64."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
