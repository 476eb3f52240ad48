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
from gpumodels.client.shared import Shared
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

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05  # seconds between two looks at whether the server is there
_LOOK = 0.05  # seconds to wait for its word between two looks at whether it is alive
_ENDLESS = 366 * 86400.0  # seconds; a longer timeout is none


class Transport(Protocol):
    """One way to a model server: `lane.Lane` to our own, `channel.Channel` to everybody's."""

    def metadata(self, timeout: float) -> Any | None: ...

    def infer(
        self, request: Any, inputs: list[Tensor], shared: Shared, deadline: float | None, ticket: Ticket, /
    ) -> Generator[dict[str, Any], None, None]: ...

    def watch(self) -> Watch | None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...

    def forked(self) -> None: ...


class Client:
    """Calls one model server.

    May be used from many threads, and from forked children, which connect anew. `model` is the name that the server
    serves. Our own server is called over the lane, another one by gRPC, with tensors in shared memory files where the
    connector has any. With `lane=False` ours is called by gRPC too.
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
        """Until the model is ready; raises LoadTimeout when time.monotonic() passes `deadline`.

        `check_alive` is called again and again and raises, through this, when the instance has died. Raises LoadFailed
        where something else than the server's socket lies in its place.
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
        """What the model takes and gives, as it said when it was ready."""
        if self._signature is None:
            raise CallError(f"{self.model} is not ready: is it still loading?")
        return self._signature

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None, *, ticket: Any = None) -> Any:
        """Call the model; one output is returned as it is, several as a Result, and several answers as their list.

        Raises InputError, ModelCallError, CallTimeout (after `timeout` seconds), ModelGone, CallError. An interrupt
        ends the call and cancels it in the server; so does the end of its Ticket, which raises CancelledError. A
        timeout of more than a year, or infinite, is none.
        """
        results = [self._plain(result) for result in self.results(args, kwargs, timeout, ticket=ticket)]
        return results if self.signature().stream else results[0]

    def stream(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None) -> Iterator[Any]:
        """As `call`, but each answer as it comes; leaving the iterator early cancels the call."""
        return map(self._plain, self.results(args, kwargs, timeout))

    def results(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: Any = None, *, ticket: Ticket | None = None
    ) -> Iterator[Result]:
        """As `stream`, but a Result also for a single output: a Result can draw itself."""
        seconds = _seconds(timeout, self.model)
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
        given = 0
        try:
            for values in answers:
                given += 1
                if given > 1 and not signature.stream:
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
        if given != 1 and not signature.stream:
            told = "several answers" if given else "no answer"
            raise CallError(f"the model server of {self.model} gave {told} to a call")

    def empty(self, name: str, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
        """An array of zeros for the input `name`, in memory that the model server maps as well.

        A call with it, or with a contiguous part of it, copies nothing. `dtype` is for inputs that declare none. Raises
        InputError where the model declares no such input or no such dtype, CallError where there is no memory for it.
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
            raise InputError(f"{self.model}: {spec}: numpy knows bfloat16 where the package ml_dtypes is installed")
        return found

    def watch(self) -> Watch | None:
        """A connection that tells when the model server falls asleep; None where it does not do that."""
        return None if self._transport is None else self._transport.watch()

    def finish(self) -> None:
        """Begin no more calls, which raise ModelGone, and wait for those that run."""
        self._closed = True
        if self._transport is not None:
            self._transport.finish()

    def close(self) -> None:
        """End the connection; nothing the second time, and in a forked child the parent's goes on.

        Calls that run in other threads end with ModelGone.
        """
        if self._transport is not None and os.getpid() == self._pid:
            self._transport.close()
        self._closed = True

    def __del__(self, _interpreter_ends: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the interpreter's end modules may be empty already, and the system takes back what is left.
        if hasattr(self, "_closed") and not _interpreter_ends():
            self.close()

    def forked(self) -> None:
        """In a forked child, before anything else runs there."""
        self._pid = os.getpid()
        if self._transport is not None:
            self._transport.forked()

    def _is_ready(self) -> bool:
        if self._closed:
            raise ModelGone(f"the connection to {self.model} is closed: load it again")
        try:
            self._transport = self._transport or self._reached()
        except OSError as error:
            raise LoadFailed(f"{self.model} cannot be reached ({error}): load it again") from None
        response = None if self._transport is None else self._transport.metadata(_LOOK)
        if response is None:
            return False
        try:
            self._signature = read_signature(response)
        except SignatureError as error:
            raise LoadFailed(f"what the server of {self.model} says of itself cannot be read: {error}") from None
        return True

    def _reached(self) -> Transport | None:
        """Open the transport, lane or gRPC. It is chosen once and kept.

        Our own server binds the lane before gRPC. So gRPC without a lane means another server.
        """
        foreign = self._connector.find(files.SOCKET_NAME)
        own = self._connector.find(frames.SOCKET_NAME) if self._lane else None
        if own is not None:
            return Lane(own, self.model)
        if foreign is not None:
            from gpumodels.client.channel import Channel  # noqa: PLC0415 (gRPC, for those who need it)

            return Channel(foreign, self._connector.shared_memory, self.model)
        return None

    def _plain(self, result: Result) -> Any:
        return result[0] if len(result) == 1 and len(self.signature().outputs) <= 1 else result


#: One for all models, and whoever wakes: an array made for one may be given to another.
_shared = Shared()

#: Those that a forked child has to tell.
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _in_child() -> None:
    for client in list(_clients):
        client.forked()


os.register_at_fork(after_in_child=_in_child)


def _seconds(timeout: Any, model: str) -> float | None:
    """The timeout of a call in seconds; raises InputError where it is none."""
    if timeout is None:
        return None
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not (number and timeout > 0):
        raise InputError(f"{model}: timeout must be a number of seconds above 0, not {timeout!r}")
    return None if timeout > _ENDLESS else float(timeout)
