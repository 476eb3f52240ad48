"""Calls by gRPC, which every server of the protocol answers.

A channel belongs to the process that made it: a forked child inherits gRPC's state without its threads, so there
nothing of it may be called, not even its end.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.client.answers import read_answer
from gpumodels.client.failures import from_rpc
from gpumodels.client.regions import Regions
from gpumodels.client.requests import send_inputs
from gpumodels.errors import CallError, ModelGone
from gpumodels.protocol import RegionError, files, messages, methods

if TYPE_CHECKING:
    from collections.abc import Generator

    from gpumodels.client.shared import Shared
    from gpumodels.client.ticket import Ticket
    from gpumodels.protocol import Descriptor, ServerSocket, Tensor

_OPTIONS = [
    *methods.CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),  # a call that has begun is never sent twice
    ("grpc.enable_http_proxy", 0),
    # Two clients may bear one address, /proc/self/fd/N after N was closed and reused, and must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
]

#: Channels that are open, held here so that a forked child never drops the last reference to one.
_open: set[grpc.Channel] = set()


class Channel:
    """A gRPC channel to the socket `server`; inputs go through files in the directory `shm` (None: in messages)."""

    def __init__(self, server: ServerSocket, shm: Descriptor | None, model: str) -> None:
        self._server = server  # the channel's address is valid as long as this lives
        self._model = model
        self._channel: grpc.Channel | None = grpc.insecure_channel(server.grpc_target, options=_OPTIONS)
        _open.add(self._channel)
        self._stub: Any = methods.stub(self._channel)
        self._regions = None if shm is None else Regions(shm, self._stub)

    def metadata(self, timeout: float) -> Any | None:
        """The ModelMetadataResponse when the model is ready; None where it was not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            if self._stub.ModelReady(messages.ModelReadyRequest(name=self._model), timeout=timeout).ready:
                return self._stub.ModelMetadata(messages.ModelMetadataRequest(name=self._model), timeout=timeout)
        except grpc.RpcError:
            pass
        time.sleep(max(0.0, deadline - time.monotonic()))
        return None

    def infer(
        self, request: Any, inputs: list[Tensor], _shared: Shared, deadline: float | None, ticket: Ticket
    ) -> Generator[dict[str, Any], None, None]:
        """The values of the one answer by output name; leaving the iterator early cancels the call.

        `deadline` is in time.monotonic() seconds. Raises CallError and its kinds, CancelledError where the ticket was
        ended, and TimeoutError past the deadline.
        """
        messages.set_parameters(request, **{files.TRACEBACK: True})
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        with send_inputs(request, inputs, self._regions, self._model, left):
            response = self._blocking(request, deadline, ticket)
        yield read_answer(response, _no_region, self._model)

    def watch(self) -> None:
        """Other servers do not fall asleep by themselves."""

    def finish(self) -> None:
        """There is no waiting for calls here: gRPC ends those that run."""

    def close(self) -> None:
        """End it; running calls end with ModelGone."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            if self._regions is not None:
                self._regions.close()
            channel.close()
            _open.discard(channel)

    def forked(self) -> None:
        """In a forked child: nothing can be called any more."""
        self._stub = self._channel = None

    def _blocking(self, request: Any, deadline: float | None, ticket: Ticket) -> Any:
        """A future, not a plain call: an interrupt must cancel it at once, not when its frames are collected."""
        if self._stub is None:
            raise CallError(f"{self._model} was loaded by another process (this one is a fork of it): load it here too")
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            future = self._stub.ModelInfer.future(request, timeout=left)
        except ValueError:  # the channel was closed by another thread
            raise ModelGone(f"the connection to {self._model} is closed: load it again") from None
        try:
            ticket.take(future.cancel)
            return future.result()
        except grpc.RpcError as error:
            ticket.check()
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and left is not None:
                raise TimeoutError from None
            raise from_rpc(error, self._model) from None
        except BaseException:
            future.cancel()
            raise


def _no_region(name: str, _offset: int, _size: int) -> memoryview:
    raise RegionError(f"no region {name!r} was asked for")
