"""A call by grpcio alone: an empty message over a Unix socket and an empty one back, with Python on both sides."""

from __future__ import annotations

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from peers.child import Child, obey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_METHOD = ("benchmark.Bare", "Call")


@contextlib.contextmanager
def empty_call() -> Iterator[Callable[[], bytes]]:
    """Start a server, and yield a function that sends it an empty message and receives one."""
    with Child("-m", "peers.bare_grpc") as server, grpc.insecure_channel(server.ready) as channel:
        method: Any = channel.unary_unary("/" + "/".join(_METHOD))
        yield lambda: method(b"")


def _serve() -> None:
    service, name = _METHOD
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    with tempfile.TemporaryDirectory(prefix="gpumodels-benchmark-") as directory:
        address = f"unix:{directory}/socket"
        server.add_insecure_port(address)
        server.start()
        obey(ready=address)
        server.stop(1).wait()


if __name__ == "__main__":
    _serve()
