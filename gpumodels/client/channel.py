"""Calls by gRPC, which every server of the Open Inference Protocol answers.

A channel works only in the process that made it. A forked child inherits gRPC's state without gRPC's threads, so it
must call nothing of the channel, not even `close`.
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

    from gpumodels.client.shared import SharedArrays
    from gpumodels.client.ticket import Ticket
    from gpumodels.protocol import Descriptor, ServerSocket, Tensor

_OPTIONS = [
    *methods.CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),  # a call that has begun is never sent twice
    ("grpc.enable_http_proxy", 0),
    # /proc/self/fd/N may stand for another socket after N was closed and reused. Two clients with this one address must
    # not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
]

#: All open channels. As the set refers to them, a forked child never deletes a channel, which would call gRPC.
_open: set[grpc.Channel] = set()


class Channel:
    """A gRPC channel to a model server."""

    def __init__(self, server: ServerSocket, shm: Descriptor | None, model: str) -> None:
        """Open the channel. Inputs go through files in the directory `shm`, or inside messages if `shm` is None."""
        self._server = server  # keeps the channel's address valid
        self._model = model
        self._channel: grpc.Channel | None = grpc.insecure_channel(server.grpc_target, options=_OPTIONS)
        _open.add(self._channel)
        self._stub: Any = methods.stub(self._channel)
        self._regions = None if shm is None else Regions(shm, self._stub)

    def metadata(self, timeout: float) -> Any | None:
        """Return the ModelMetadataResponse, or None if the model is not ready within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        try:
            if self._stub.ModelReady(messages.ModelReadyRequest(name=self._model), timeout=timeout).ready:
                return self._stub.ModelMetadata(messages.ModelMetadataRequest(name=self._model), timeout=timeout)
        except grpc.RpcError:
            pass
        time.sleep(max(0.0, deadline - time.monotonic()))
        return None

    def infer(
        self, request: Any, inputs: list[Tensor], _shared: SharedArrays, deadline: float | None, ticket: Ticket
    ) -> Generator[dict[str, Any], None, None]:
        """Send `request` with the inputs, and yield the values of the single answer, by output name.

        Closing the iterator early cancels the call. `deadline` is in time.monotonic() seconds. Raises CallError or a
        subclass of it, CancelledError if another thread ended `ticket`, and TimeoutError past the deadline.
        """
        messages.set_parameters(request, **{files.TRACEBACK: True})
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        with send_inputs(request, inputs, self._regions, self._model, left):
            response = self._await_response(request, deadline, ticket)
        yield read_answer(response, _no_region, self._model)

    def watch(self) -> None:
        """Return None instead of a watch: servers other than our own do not end themselves to sleep."""

    def finish(self) -> None:
        """Do not wait for running calls, unlike `Lane.finish`. `close` ends them with ModelGone."""

    def close(self) -> None:
        """Close the channel. Running calls end with ModelGone."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            if self._regions is not None:
                self._regions.close()
            channel.close()
            _open.discard(channel)

    def forked(self) -> None:
        """Drop the channel. The after-fork hook calls this in the child, where calls then raise CallError."""
        self._stub = self._channel = None

    def _await_response(self, request: Any, deadline: float | None, ticket: Ticket) -> Any:
        """Send the request and return its response.

        The call is a gRPC future, because an interrupt can cancel a future at once, but not a plain call.
        """
        if self._stub is None:
            raise CallError(f"{self._model} was loaded by the parent of this forked process: load it here too")
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
    raise RegionError(f"it names a region {name!r}, but the call has no region")
