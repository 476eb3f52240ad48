"""The token of clients over TCP. They need one, because other users of the machine reach its loopback address too."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER = "authorization"


class TokenRequired(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """An interceptor that refuses every call without the metadata `authorization: Bearer TOKEN`.

    It also refuses calls of methods that do not exist.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        for key, value in details.invocation_metadata:
            if key == _HEADER and hmac.compare_digest(_bytes(value), self._expected):
                return continuation(details)
        # A handler that streams in both directions serves methods of every kind, and answers before a message arrives.
        return grpc.stream_stream_rpc_method_handler(_refuse)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _refuse(_requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
    context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "this model server needs the metadata `authorization: Bearer TOKEN`; `model.endpoint.headers` has it",
    )
    yield  # makes this a generator, as a streaming method must be
