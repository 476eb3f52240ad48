"""The base classes of the gateway's routes.

A call is admitted before the body of its request is read. It is cancelled when its client disconnects.
"""

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
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.gateway.names import VERSION
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
    """The base class of the gateway's routes.

    Errors have two keys with the same text: `message`, as in all routes, and `error`, as in the Open Inference
    Protocol.
    """

    async def gateway(self) -> Gateway:
        """Return the state that all calls share. Its module is imported at the first call, in a thread."""
        if _CALLS not in sys.modules:
            await in_thread(import_module, _CALLS)
        return self.context.gateway

    def write_error(self, status_code: int, **details: Any) -> None:
        error = details.get("exc_info", (None, None))[1]
        self.set_status(_status(error) if isinstance(error, GpumodelsError) else status_code)
        if isinstance(error, Refused) and error.retry_after is not None:
            self.set_header("Retry-After", str(error.retry_after))
        self.finish(error_json(error))


def error_json(error: object) -> dict[str, str]:
    """Return an error as JSON; with `traceback` if the model's code raised it."""
    if isinstance(error, ModelCallError):
        message = str(error.args[0])
        return {"message": message, "error": message, "traceback": error.remote_traceback}
    message = "Unhandled error"
    if isinstance(error, GpumodelsError):
        message = str(error)
    elif isinstance(error, web.HTTPError):
        # Tornado doubles each % of a message that is not meant to be a format.
        message = error.log_message % error.args if error.log_message else responses.get(error.status_code, "")
    return {"message": message, "error": message}


def _status(error: GpumodelsError) -> int:
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), status_of(error))


def check_version(name: str, version: str) -> None:
    """Raise Refused unless `version` is "1", the only version of every model."""
    if version != VERSION:
        raise Refused(404, f"{name} has no version {version:.40}, only {VERSION}")


@web.stream_request_body
class CallHandler(GatewayHandler):
    """The base class of routes that call a model.

    When the headers have come, the permission of the user and the room in the queue are checked, before the body is
    read.
    """

    call: Call

    def initialize(self, context: ServerContext) -> None:
        super().initialize(context)
        self.received = bytearray()
        self._admitted = False  # True while the call has a place in the queue
        self._refusal: GpumodelsError | None = None
        #: Done when the client has closed the connection.
        self.client_gone = asyncio.get_running_loop().create_future()

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if self.request.method != "POST" or self._finished:
            return
        await self._check_user()
        try:
            await self._enter()
        except GpumodelsError as error:
            client_waits = self.request.headers.get("Expect") == "100-continue"
            if client_waits or (isinstance(error, Refused) and error.status == _TOO_LARGE):
                raise
            # Many clients send the whole body before they read the response. They get it then; the body is dropped.
            self._refusal = error

    async def _enter(self) -> None:
        """Give the call a place in the queue. Raises GpumodelsError if the call cannot be made."""
        seconds = self._query_timeout()
        gateway = await self.gateway()
        callee, allowed = await in_thread(gateway.find, self.path_kwargs["name"])
        length = self.request.headers.get("Content-Length", "")
        self._check_size(int(length) if length.isdecimal() else 0, allowed.gateway_body)
        if not self.client_gone.done():
            self.call = gateway.enter(callee, allowed, seconds)
            self._admitted = True
            self._limit_body_time(self.call.deadline - time.monotonic())

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body. Drop parts beyond the limit; `while_connected` refuses such a call later."""
        if self._admitted and len(self.received) <= self.call.limit:
            self.received += chunk

    @web.authenticated
    @authorized
    async def post(self, name: str, version: str = VERSION) -> None:
        if self._refusal is not None:
            raise self._refusal
        if not self._admitted:  # the client has gone
            raise web.Finish
        check_version(name, version)
        await self.answer()

    async def answer(self) -> None:
        """Make the call, which has been admitted, and send the response."""
        raise NotImplementedError

    async def in_turn(self, act: Callable[[], T]) -> T:
        """Call `act` in a thread when it is this call's turn; see `while_connected`."""
        return await self.while_connected(self.call.queue.in_turn(act))

    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. Cancel the call at its deadline, or when its client has gone.

        Raises CallTimeout at the deadline, tornado's Finish if the client has gone, and Refused if the body is larger
        than the limit.
        """
        self._check_size(len(self.received), self.call.limit)
        task = asyncio.ensure_future(work)
        left = None if self.call.deadline == math.inf else self.call.deadline - time.monotonic()
        try:
            await asyncio.wait({task, self.client_gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not self.client_gone.done():
                return task.result()
        finally:
            if not task.done() or self.client_gone.done():
                self.call.ticket.end()
                task.cancel()
        if self.client_gone.done():
            raise web.Finish
        name = self.call.callee.name
        raise CallTimeout(f"{name} did not answer within the time limit of this HTTP call; the call was cancelled")

    def on_connection_close(self) -> None:
        """End the call of a client that has gone, in the model server too."""
        super().on_connection_close()
        if not self.client_gone.done():
            self.client_gone.set_result(None)
        self._leave()

    def on_finish(self) -> None:
        super().on_finish()
        self._leave()

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self.call.queue.leave()

    def _limit_body_time(self, seconds: float) -> None:
        """Limit the time for the body, so that a slow sender does not keep its place in the queue for ever."""
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and seconds < math.inf:
            connection.set_body_timeout(seconds)

    async def _check_user(self) -> None:
        """Raise HTTP 403 for a user who may not call. The decorators of `post` check that too, but after the body."""
        if self.current_user is None:
            raise web.HTTPError(403)
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)):
            raise web.HTTPError(403, f"User is not authorized to write on resource: {self.auth_resource}.")

    def _check_size(self, size: int, limit: int) -> None:
        """Raise Refused if a body is larger than the settings allow, or compressed: then its size is not known."""
        if size > limit:
            raise Refused(
                _TOO_LARGE, f"the request is larger than {limit} bytes, the limit of the setting gateway_body"
            )
        if self.request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(415, "compressed requests are not accepted: send the body uncompressed")

    def _query_timeout(self) -> float:
        """Return the timeout of the query string, in seconds; infinity without one. Raises Refused if it is invalid."""
        text = self.get_query_argument("timeout", "inf")
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            raise Refused(400, f"timeout must be a number of seconds above 0, not {text!r:.40}")
        return seconds
