"""Pictures that are given by their http address. The Jupyter server fetches them from the public internet only.

The host name is resolved once. All its addresses are checked, and the connection is made to one of them. So a name that
resolves to another address later cannot evade the check. Each redirect is checked in the same way.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.netutil import DefaultLoopResolver, Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from gpumodels.jupyter.gateway.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httpclient import HTTPResponse

_REDIRECTS = 3
_AT_ONCE = 4  # pictures
_WITHIN = 20.0  # seconds for one picture, redirects included
_SLACK = 1 << 20  # bytes beyond the limit until the connection is closed; they are dropped
_NAT64 = IPv6Network("64:ff9b::/96")
_OK, _MOVED = 200, {301, 302, 303, 307, 308}


class Fetch:
    """A client that fetches the pictures of one call, at most `limit` bytes in all."""

    def __init__(self, limit: int, resolver: Resolver | None = None) -> None:
        self._limit = self._left = limit
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._client = SimpleAsyncHTTPClient(
            force_instance=True,
            resolver=PublicResolver(resolver or DefaultLoopResolver()),
            max_clients=_AT_ONCE,
            max_buffer_size=max(limit, 1 << 16),
            max_body_size=limit + _SLACK,
        )

    async def all(self, urls: Sequence[str]) -> list[bytes]:
        """Return the pictures at these addresses. Raises Refused if one cannot be fetched."""
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
                answer, body = await self._request(url, deadline - time.monotonic())
                if answer.code not in _MOVED:
                    break
                url = urljoin(url, answer.headers.get("Location", ""))
            else:
                raise Refused(502, f"{url:.200} was reached by more than {_REDIRECTS} redirects")
            if answer.code != _OK:
                raise Refused(502, f"{url:.200} answered {answer.code} {answer.reason:.80}")
            return body

    async def _request(self, url: str, seconds: float) -> tuple[HTTPResponse, bytes]:
        received: list[bytes] = []
        declared = [0]  # the sizes that the server announced

        def read_header(line: str) -> None:
            name, _, value = line.partition(":")
            if name.lower() == "content-length" and value.strip().isdecimal():
                declared.append(int(value))

        def receive(chunk: bytes) -> None:
            self._left -= len(chunk)
            # Content-Length may be wrong or absent. Bytes over the limit are dropped until the connection is closed.
            if self._left >= 0:
                received.append(chunk)

        timeout = max(seconds, 0.01)
        request = HTTPRequest(
            url,
            connect_timeout=timeout,
            request_timeout=timeout,
            follow_redirects=False,
            decompress_response=False,
            header_callback=read_header,
            streaming_callback=receive,
            user_agent="gpumodels",
        )
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (HTTPError, OSError, ValueError) as error:
            if self._left >= 0 and max(declared) <= self._limit:
                message = f"{url:.200} could not be fetched (pictures may have {self._limit} bytes): {error}"
                raise Refused(502, message) from None
        if self._left < 0 or max(declared) > self._limit:
            raise Refused(413, f"{url:.200} is too large: the pictures of one call may have {self._limit} bytes in all")
        return answer, b"".join(received)


class PublicResolver(Resolver):
    """A resolver that refuses every name that has an address outside the public internet."""

    def initialize(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(address[0]) for _, address in found):
            raise Refused(400, f"{host:.100} is not fetched: it is not in the public internet")
        return found


def check(url: str) -> None:
    """Raise Refused unless `url` is an http or https address without a password."""
    try:
        parts = urlsplit(url)
        allowed = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        allowed = False
    if not allowed or not re.fullmatch("[!-~]+", url):
        raise Refused(400, f"{url!r:.200} is not fetched: give an http or https address without a password")


def is_public(text: str) -> bool:
    """Return True if an address is in the public internet. IPv4 addresses inside an IPv6 address must be public too."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if address in _NAT64:
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    inside = (address.is_private, address.is_loopback, address.is_link_local, address.is_multicast, address.is_reserved)
    if not address.is_global or any(inside):
        return False
    if isinstance(address, IPv4Address):
        return True
    embedded = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
    return not address.is_site_local and all(is_public(str(each)) for each in embedded if each is not None)
