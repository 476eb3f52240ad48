"""`Client`: one model server on this machine, from the process that loaded it."""

from __future__ import annotations

import numbers
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.client import descriptors
from gpumodels.client.connection import Connection
from gpumodels.client.failures import translate
from gpumodels.client.inputs import bind
from gpumodels.client.regions import Regions
from gpumodels.client.replies import ReplyReader
from gpumodels.client.requests import send_inputs
from gpumodels.client.result import Result
from gpumodels.errors import CallError, InputError, LoadFailed, LoadTimeout, ModelGone
from gpumodels.protocol import files, messages
from gpumodels.protocol.metadata import read_signature
from gpumodels.signature import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gpumodels.errors import GpumodelsError
    from gpumodels.signature import Signature

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05  # seconds between two looks at whether the server is ready
_METADATA_TIMEOUT = 10.0  # seconds
_LOOK_TIMEOUT = 0.5  # seconds for one look: a server that loads may hold the GIL
_ENDLESS = 366 * 86400.0  # seconds; gRPC takes deadlines of centuries for past ones


class Client:
    """Calls the model server whose socket lies in `socket_dir`; tensors go through `shm_dir` (None: in messages).

    May be used from many threads, by the process that made it. `model` is the name that the server serves.
    """

    def __init__(self, socket_dir: Path, shm_dir: Path | None, model: str) -> None:
        self.model = model
        self._pid = os.getpid()
        self._shm = None if shm_dir is None else descriptors.directory(shm_dir)
        self._connection = Connection(socket_dir)
        self._signature: Signature | None = None
        self._regions: Regions | None = None
        self._replies = ReplyReader(self._shm)
        self._lock = threading.Lock()
        self._closed = False

    def wait_ready(self, deadline: float, check_alive: Callable[[], None]) -> None:
        """Until the model is ready; raises LoadTimeout when time.monotonic() passes `deadline`.

        `check_alive` is called between two looks and raises, through this, when the instance has died.
        Raises LoadFailed where something else than the server's socket lies in its place.
        """
        pause = _FIRST_PAUSE
        while not self._is_ready():
            check_alive()
            if time.monotonic() >= deadline:
                raise LoadTimeout(f"{self.model} was not ready in time; give it longer with timeout=, or see its log")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def signature(self) -> Signature:
        """What the model takes and gives, asked once. Raises CallError."""
        self._check_usable()
        with self._lock:
            if self._signature is None:
                request = messages.ModelMetadataRequest(name=self.model)
                response = self._blocking("ModelMetadata", request, _METADATA_TIMEOUT, time.monotonic())
                try:
                    self._signature = read_signature(response)
                except SignatureError as error:
                    raise CallError(f"what the server of {self.model} says of itself cannot be read: {error}") from None
            return self._signature

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: float | None = None) -> Any:
        """Call the model; one output is returned as it is, several as a Result.

        Raises InputError, ModelCallError, CallTimeout (after `timeout` seconds), ModelGone, CallError. An interrupt
        ends the call and cancels it in the server. A timeout of more than a year, or infinite, is none.
        """
        result = self.result(args, kwargs, timeout)
        return result[0] if len(result) == 1 and len(self.signature().outputs) <= 1 else result

    def result(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout: float | None = None) -> Result:
        """As `call`, but a Result also for a single output: a Result can draw itself."""
        timeout = _seconds(timeout, self.model)
        signature = self.signature()
        inputs, image = bind(signature, args, kwargs, self.model)
        request = messages.ModelInferRequest(model_name=self.model, id=files.new_name("out"))
        messages.set_parameters(request, **{files.TRACEBACK: True})
        began = time.monotonic()
        with send_inputs(request, inputs, self._pool(), self.model, timeout):
            del inputs
            try:
                response = self._blocking("ModelInfer", request, timeout, began)
            except BaseException:
                self._replies.abandon(request.id)
                raise
        values = self._replies.read(response, self.model)
        kinds = {spec.name: spec.kind for spec in signature.outputs if spec.name in values}
        return Result({name: values[name] for name in [*kinds, *values]}, kinds, image)

    def close(self) -> None:
        """End the connection and remove the input regions; nothing in a forked child, and nothing the second time.

        Calls that run in other threads end with ModelGone.
        """
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        if self._regions is not None:
            self._regions.close()
        self._connection.close()

    def __del__(self, _interpreter_ends: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the interpreter's end modules may be empty already, and the system takes back what is left.
        if hasattr(self, "_closed") and not _interpreter_ends():
            self.close()

    def _is_ready(self) -> bool:
        self._check_usable()
        if not self._connected(LoadFailed):
            return False
        try:
            request = messages.ModelReadyRequest(name=self.model)
            return bool(self._connection.stub.ModelReady(request, timeout=_LOOK_TIMEOUT).ready)
        except grpc.RpcError:
            return False

    def _connected(self, problem: type[GpumodelsError]) -> bool:
        try:
            return self._connection.open()
        except OSError as error:
            raise problem(f"{self.model} cannot be reached ({error}): load it again") from None

    def _blocking(self, method: str, request: Any, timeout: float | None, began: float) -> Any:
        """The response, awaited until `timeout` seconds after `began`.

        A future, not a plain call: an interrupt must cancel it at once, not when its frames are collected.
        """
        if not self._connected(CallError):
            raise CallError(f"nobody listens on the socket of {self.model}: is it still loading?")
        left = None if timeout is None else max(0.0, began + timeout - time.monotonic())
        try:
            future = getattr(self._connection.stub, method).future(request, timeout=left)
        except ValueError:  # the channel was closed by another thread
            raise self._closed_error() from None
        try:
            return future.result()
        except grpc.RpcError as error:
            raise translate(error, self.model, timeout) from None
        except BaseException:
            future.cancel()
            raise

    def _pool(self) -> Regions | None:
        with self._lock:
            if self._regions is None and self._shm is not None:
                self._regions = Regions(self._shm, self._connection.stub, self.model)
            return self._regions

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise CallError(f"{self.model} was loaded by another process (this one is a fork of it): load it here too")
        if self._closed:
            raise self._closed_error()

    def _closed_error(self) -> ModelGone:
        return ModelGone(f"the connection to {self.model} is closed: load it again")


def _seconds(timeout: Any, model: str) -> float | None:
    """The timeout of a call as gRPC takes it; raises InputError where it is none."""
    if timeout is None:
        return None
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not (number and timeout > 0):
        raise InputError(f"{model}: timeout must be a number of seconds above 0, not {timeout!r}")
    return None if timeout > _ENDLESS else float(timeout)
