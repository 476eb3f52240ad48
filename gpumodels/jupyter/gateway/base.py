"""What the routes of the gateway share: a call is let in before its body is read, and ends with its client."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from http.client import responses
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.http1connection import HTTP1Connection

from gpumodels.errors import CallError, CallTimeout, GpumodelsError, InputError, LoadError, ModelCallError
from gpumodels.jupyter.base import ModelsHandler, status_of
from gpumodels.jupyter.gateway.names import VERSION
from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gpumodels.jupyter.context import ServerContext
    from gpumodels.jupyter.gateway.calls import Call, Gateway

T = TypeVar("T")

_TOO_LARGE = 413
_CALLS = "gpumodels.jupyter.gateway.calls"
_STATUS: tuple[tuple[type[GpumodelsError], int], ...] = (
    (InputError, 400),
    (CallTimeout, 504),
    (CallError, 500),
    (LoadError, 503),
)


class GatewayHandler(ModelsHandler):
    """Errors as the protocol has them, `{"error": ...}`, and as all our routes do, `{"message": ...}`."""

    async def gateway(self) -> Gateway:
        """What all calls share, imported on a thread when the first comes."""
        if _CALLS not in sys.modules:
            await in_thread(import_module, _CALLS)
        return self.context.gateway

    def write_error(self, status_code: int, **details: Any) -> None:
        error = details.get("exc_info", (None, None))[1]
        self.set_status(_status(error) if isinstance(error, GpumodelsError) else status_code)
        if isinstance(error, Refused) and error.retry_after is not None:
            self.set_header("Retry-After", str(error.retry_after))
        self.finish(told(error))


def told(error: object) -> dict[str, str]:
    """An error as JSON; what the model's code raised comes with its traceback beside the sentence."""
    if isinstance(error, ModelCallError):
        said = str(error.args[0])
        return {"message": said, "error": said, "traceback": error.remote_traceback}
    said = "Unhandled error"
    if isinstance(error, GpumodelsError):
        said = str(error)
    elif isinstance(error, web.HTTPError):
        # Tornado doubles each % of a message that is not meant to be a format.
        said = error.log_message % error.args if error.log_message else responses.get(error.status_code, "")
    return {"message": said, "error": said}


def _status(error: GpumodelsError) -> int:
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), status_of(error))


def check_version(name: str, version: str) -> None:
    """Raise Refused for another than the one that each model has."""
    if version != VERSION:
        raise Refused(404, f"{name} has no version {version:.40}, only {VERSION}")


@web.stream_request_body
class CallHandler(GatewayHandler):
    """A call: who asks, and whether there is room, is looked at when its headers have come; then the body is read."""

    call: Call

    def initialize(self, context: ServerContext) -> None:
        super().initialize(context)
        self.received = bytearray()
        self._inside = False
        self._refusal: GpumodelsError | None = None
        self.gone = asyncio.get_running_loop().create_future()

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if self.request.method != "POST" or self._finished:
            return
        await self._check_user()
        try:
            await self._enter()
        except GpumodelsError as error:
            waits = self.request.headers.get("Expect") == "100-continue"
            if waits or (isinstance(error, Refused) and error.status == _TOO_LARGE):
                raise
            # Many clients send all before they read: what they send is dropped, and then they are told.
            self._refusal = error

    async def _enter(self) -> None:
        """Let the call in; raises what stands against it."""
        seconds = self._asked_timeout()
        gateway = await self.gateway()
        callee, allowed = await in_thread(gateway.admitted, self.path_kwargs["name"])
        length = self.request.headers.get("Content-Length", "")
        self._check_size(int(length) if length.isdecimal() else 0, allowed.gateway_body)
        if not self.gone.done():
            self.call = gateway.enter(callee, allowed, seconds)
            self._inside = True
            self._bound_body(self.call.deadline - time.monotonic())

    def data_received(self, chunk: bytes) -> None:
        """What comes beyond the limit is not kept; it is told when all has come."""
        if self._inside and len(self.received) <= self.call.limit:
            self.received += chunk

    @web.authenticated
    @authorized
    async def post(self, name: str, version: str = VERSION) -> None:
        if self._refusal is not None:
            raise self._refusal
        if not self._inside:  # the client has gone
            raise web.Finish
        check_version(name, version)
        await self.answer()

    async def answer(self) -> None:
        """Make the call, which is in, and answer it."""
        raise NotImplementedError

    async def in_turn(self, act: Callable[[], T]) -> T:
        """Do it in a thread when it is this call's turn; see `while_here`."""
        return await self.while_here(self.call.queue.in_turn(act))

    async def while_here(self, doing: Coroutine[Any, Any, T]) -> T:
        """Its result; where its time is over, or its client has gone, the call is ended. Raises CallTimeout, Finish."""
        self._check_size(len(self.received), self.call.limit)
        task = asyncio.ensure_future(doing)
        left = None if self.call.deadline == math.inf else self.call.deadline - time.monotonic()
        try:
            await asyncio.wait({task, self.gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not self.gone.done():
                return task.result()
        finally:
            if not task.done() or self.gone.done():
                self.call.ticket.end()
                task.cancel()
        if self.gone.done():
            raise web.Finish
        name = self.call.callee.name
        raise CallTimeout(f"{name} gave no answer in the time that a call by HTTP has; it was cancelled")

    def on_connection_close(self) -> None:
        """The client has gone: its call ends in the model server too, or never begins."""
        super().on_connection_close()
        if not self.gone.done():
            self.gone.set_result(None)
        self._leave()

    def on_finish(self) -> None:
        super().on_finish()
        self._leave()

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self.call.queue.leave()

    def _bound_body(self, seconds: float) -> None:
        """Who sends slowly must not keep its place for ever."""
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and seconds < math.inf:
            connection.set_body_timeout(seconds)

    async def _check_user(self) -> None:
        """As the decorators of the verb do, which would come after the body."""
        if self.current_user is None:
            raise web.HTTPError(403)
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)):
            raise web.HTTPError(403, f"User is not authorized to write on resource: {self.auth_resource}.")

    def _check_size(self, size: int, limit: int) -> None:
        """Raise Refused where a body is larger than the settings allow, or would be once it is unpacked."""
        if size > limit:
            raise Refused(
                _TOO_LARGE, f"the request is larger than {limit} bytes, which is the limit here (gateway_body)"
            )
        if self.request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(415, "a compressed request is not taken: send it as it is")

    def _asked_timeout(self) -> float:
        """Seconds that the query says."""
        text = self.get_query_argument("timeout", "inf")
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            raise Refused(400, f"timeout must be a number of seconds above 0, not {text!r:.40}")
        return seconds
