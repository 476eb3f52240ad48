"""`Client`: one model server on this machine."""

from __future__ import annotations

import numbers
import operator
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpumodels.client.inputs import bind
from gpumodels.client.lane import Lane
from gpumodels.client.result import Result
from gpumodels.client.shared import SharedArrays
from gpumodels.client.ticket import Ticket
from gpumodels.errors import CallError, CallTimeout, InputError, LoadFailed, LoadTimeout, ModelGone
from gpumodels.protocol import DATATYPES, files, frames, from_bits, messages, read_signature, storage
from gpumodels.signature import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from gpumodels.client.watch import Watch
    from gpumodels.protocol import Connector, Tensor
    from gpumodels.signature import Signature

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05  # seconds between two attempts to find the server's socket
_READY_WAIT = 0.05  # seconds to wait for the server's metadata before checking again that the server is alive
_LONGEST_TIMEOUT = 366 * 86400.0  # seconds; a longer timeout counts as none


class Transport(Protocol):
    """The connections to a model server: `lane.Lane` for our own server, `channel.Channel` (gRPC) for any server."""

    def metadata(self, timeout: float) -> Any | None: ...

    def infer(
        self, request: Any, inputs: list[Tensor], shared: SharedArrays, deadline: float | None, ticket: Ticket, /
    ) -> Generator[dict[str, Any], None, None]: ...

    def watch(self) -> Watch | None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...

    def forked(self) -> None: ...


class Client:
    """The client of one model server, for the model `model`. Safe to use from threads.

    The client calls our own server over the lane, a Unix socket that is faster than gRPC, and any other server by gRPC.
    With `lane=False` it calls our own server by gRPC too. By gRPC, tensors go through shared memory files if the
    connector has a directory for them. A forked child opens its own connections to the lane; by gRPC it cannot call.
    """

    def __init__(self, connector: Connector, model: str, *, lane: bool = True) -> None:
        self.model = model
        self._pid = os.getpid()
        self._connector = connector
        self._lane = lane
        self._transport: Transport | None = None
        self._signature: Signature | None = None
        self._closed = False
        _clients.add(self)

    def wait_ready(self, deadline: float, check_alive: Callable[[], None]) -> None:
        """Wait until the model is ready. Raises LoadTimeout when time.monotonic() passes `deadline`.

        Call `check_alive` repeatedly meanwhile; it raises its own error when the instance has died. Raises LoadFailed
        if the file at the path of the server's socket is not that socket, or if the metadata cannot be read.
        """
        pause = _FIRST_PAUSE
        while not self._is_ready():
            check_alive()
            if time.monotonic() >= deadline:
                raise LoadTimeout(f"{self.model} was not ready in time; give it longer with timeout=, or see its log")
            if self._transport is None:
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)

    def signature(self) -> Signature:
        """Return the inputs and outputs that the server reported to `wait_ready`. Raises CallError before that."""
        if self._signature is None:
            raise CallError(f"{self.model} is not ready: is it still loading?")
        return self._signature

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None, *, ticket: Any = None) -> Any:
        """Call the model and return its answer: a single output as it is, several as a Result, a stream as a list.

        The inputs are `args`, by position, and `kwargs`, by name. Raises InputError, ModelCallError, CallTimeout (after
        `timeout` seconds), ModelGone, CallError. An interrupt cancels the call in the server. `ticket` is a `Ticket`:
        another thread may end it, which cancels the call and raises CancelledError here. A timeout of more than a year
        counts as none.
        """
        results = [self._unwrapped(result) for result in self.results(args, kwargs, timeout, ticket=ticket)]
        return results if self.signature().stream else results[0]

    def stream(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None) -> Iterator[Any]:
        """Call the model and iterate over its answers as they come. Closing the iterator early cancels the call.

        Parameters and errors are those of `call`. `timeout` is for all answers together.
        """
        return map(self._unwrapped, self.results(args, kwargs, timeout))

    def results(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None, *, ticket: Ticket | None = None
    ) -> Iterator[Result]:
        """Call the model and iterate over its answers as they come, each as a Result, even if it has a single output.

        A Result, unlike a single value, can show itself as a picture. Parameters and errors are those of `stream`.
        """
        seconds = _timeout_seconds(timeout, self.model)
        deadline = None if seconds is None else time.monotonic() + seconds
        signature = self.signature()
        if self._closed or self._transport is None:
            gone = ModelGone(f"the connection to {self.model} is closed: load it again")
            gone.begun = False
            raise gone
        inputs, image = bind(signature, args, kwargs, self.model)
        request = messages.ModelInferRequest(model_name=self.model)
        answers = self._transport.infer(request, inputs, _shared, deadline, ticket or Ticket())
        del inputs, args, kwargs
        count = 0
        try:
            for values in answers:
                count += 1
                if count > 1 and not signature.stream:
                    answers.close()
                    break
                kinds = {}
                for spec in signature.outputs:
                    if spec.name in values:
                        kinds[spec.name] = spec.kind
                        value = values[spec.name]
                        if spec.shape == () and isinstance(value, np.ndarray) and value.ndim == 0:
                            values[spec.name] = value.item()
                yield Result({name: values[name] for name in [*kinds, *values]}, kinds, image)
        except TimeoutError:
            raise CallTimeout(f"{self.model} gave no answer within {seconds:g} s; the call was cancelled") from None
        if count != 1 and not signature.stream:
            gave = "several answers" if count else "no answer"
            raise CallError(f"the model server of {self.model} gave {gave} to a call")

    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """Return an array of zeros for the input `name`, in memory that the model server maps too.

        A call sends the array, or a contiguous part of it, without a copy. `dtype` is for an input whose declared dtype
        is "any". Raises InputError if there is no such input, or no array of this shape and dtype, and CallError if
        there is no memory for the array.
        """
        spec = next((spec for spec in self.signature().inputs if spec.name == name), None)
        if spec is None:
            known = ", ".join(spec.name for spec in self.signature().inputs)
            raise InputError(f"{self.model} has no input {name!r}; its inputs are {known}")
        try:
            given = spec.dtype if dtype is None else dtype
            datatype = DATATYPES.get(given if isinstance(given, str) else np.dtype(given).name, "BYTES")
            sizes = tuple(map(operator.index, shape))
        except TypeError as error:
            raise InputError(f"{self.model}: no array of {dtype} and the shape {shape} can be made: {error}") from None
        if datatype == "BYTES" or min(sizes, default=0) < 0:
            raise InputError(f"{self.model}: {spec} needs a shape of sizes and, if it declares none, a number's dtype=")
        try:
            array = _shared.empty(storage(datatype), sizes)
        except OSError as error:
            raise CallError(f"{self.model}: no memory for {list(sizes)} of {datatype}: {error.strerror}") from None
        found = from_bits(array) if datatype == "BF16" else array
        if not np.may_share_memory(found, array):
            raise InputError(f"{self.model}: {spec}: numpy has bfloat16 only if the package ml_dtypes is installed")
        return found

    def watch(self) -> Watch | None:
        """Return a connection on which the model server announces its sleep; None if it has ended or never does so."""
        return None if self._transport is None else self._transport.watch()

    def finish(self) -> None:
        """Refuse new calls, which raise ModelGone. On the lane, also wait until running calls end."""
        self._closed = True
        if self._transport is not None:
            self._transport.finish()

    def close(self) -> None:
        """Close all connections. Calls that run in other threads end with ModelGone.

        Closing twice does nothing, and closing in a forked child leaves the parent's connections open.
        """
        if self._transport is not None and os.getpid() == self._pid:
            self._transport.close()
        self._closed = True

    def __del__(self, _interpreter_ends: Callable[[], bool] = sys.is_finalizing) -> None:
        # While the interpreter ends, modules may be empty already. The system then closes the connection.
        if hasattr(self, "_closed") and not _interpreter_ends():
            self.close()

    def forked(self) -> None:
        """Prepare the client for use in a forked child. The after-fork hook calls this there."""
        self._pid = os.getpid()
        if self._transport is not None:
            self._transport.forked()

    def _is_ready(self) -> bool:
        if self._closed:
            raise ModelGone(f"the connection to {self.model} is closed: load it again")
        try:
            self._transport = self._transport or self._open_transport()
        except OSError as error:
            raise LoadFailed(f"{self.model} cannot be reached ({error}): load it again") from None
        response = None if self._transport is None else self._transport.metadata(_READY_WAIT)
        if response is None:
            return False
        try:
            self._signature = read_signature(response)
        except SignatureError as error:
            raise LoadFailed(f"the metadata of the model server of {self.model} cannot be read: {error}") from None
        return True

    def _open_transport(self) -> Transport | None:
        """Open the lane, or gRPC if there is no lane. Return None if the server has bound no socket yet.

        Look for the socket of gRPC first. Our own server binds the lane's socket before that of gRPC, so a server with
        gRPC and without a lane is not our own.
        """
        grpc_socket = self._connector.find(files.SOCKET_NAME)
        lane_socket = self._connector.find(frames.SOCKET_NAME) if self._lane else None
        if lane_socket is not None:
            return Lane(lane_socket, self.model)
        if grpc_socket is not None:
            from gpumodels.client.channel import Channel  # noqa: PLC0415 (gRPC, which the lane does not need)

            return Channel(grpc_socket, self._connector.shared_memory, self.model)
        return None

    def _unwrapped(self, result: Result) -> Any:
        return result[0] if len(result) == 1 and len(self.signature().outputs) <= 1 else result


#: The arrays that `empty` made for all clients. An array that was made for one model may be an input of another model,
#: and stays valid when a model is loaded again with a new client.
_shared = SharedArrays()

#: All clients of this process, for `_after_fork`.
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client.forked()


os.register_at_fork(after_in_child=_after_fork)


def _timeout_seconds(timeout: Any, model: str) -> float | None:
    """Return the timeout of a call in seconds, None for no limit. Raises InputError if it is not a positive number."""
    if timeout is None:
        return None
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not (number and timeout > 0):
        raise InputError(f"{model}: timeout must be a number of seconds above 0, not {timeout!r}")
    return None if timeout > _LONGEST_TIMEOUT else float(timeout)
