"""The base class of all routes: access to the server's state, waiting in threads, and errors as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from tornado import web

from gpumodels.errors import (
    DeviceError,
    EngineUnavailable,
    GpumodelsError,
    LoadRefused,
    ModelFolderError,
    ModelNotFound,
    SettingsError,
)
from gpumodels.jupyter import description
from gpumodels.jupyter.feed import SLOW
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.jupyter.context import ServerContext
    from gpumodels.jupyter.feed import State

T = TypeVar("T")

#: The form of an id. Ids become paths in the runtime directory, so anything else is refused.
ID = re.compile(r"[A-Za-z0-9_-]{1,200}")

_MAX_BODY = 1 << 16  # bytes of JSON in a request; it is parsed on the event loop, which must not be blocked

#: The HTTP status for each kind of error; the first that fits counts. Any other error is 500.
STATUS: tuple[tuple[type[GpumodelsError], int], ...] = (
    (ModelNotFound, 404),
    (EngineUnavailable, 503),
    (LoadRefused, 400),
    (ModelFolderError, 400),
    (SettingsError, 400),
    (DeviceError, 409),
)


class ModelsHandler(APIHandler):
    """The base class of every route. Errors of gpumodels are answered as JSON, `{"message": ...}`."""

    auth_resource = "gpumodels"

    def initialize(self, context: ServerContext) -> None:
        self.context = context

    def update_api_activity(self) -> None:
        """Count only requests other than GET as activity. A browser that polls must not keep an idle server alive."""
        if self.request.method != "GET":
            super().update_api_activity()

    async def recent_state(self) -> State:
        """Return the state of the feed, at most a second old. Raises HTTP 503 if it cannot be read in time."""
        try:
            return await self.context.feed.recent_state()
        except TimeoutError:
            raise web.HTTPError(503, SLOW) from None

    def body(self, schema: str) -> dict[str, Any]:
        """Return the JSON of the request. Raises HTTP 400 or 413 unless it matches the named schema of openapi.json."""
        if len(self.request.body) > _MAX_BODY:
            raise web.HTTPError(413, f"the request is longer than {_MAX_BODY} bytes")
        try:
            given: Any = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:  # ValueError also for text that is not UTF-8
            raise web.HTTPError(400, f"the request is not JSON: {error}") from None
        if complaint := description.complaint(schema, given):
            raise web.HTTPError(400, complaint)
        return dict(given)

    async def run_for_model(self, act: Callable[..., T], instance: str, **more: Any) -> T:
        """Call `act` in a thread, with the id `instance` of a running model.

        Raises HTTP 400 if `instance` cannot be an id, and HTTP 404 if `act` raises KeyError, because no running model
        has that id.
        """
        check_id(instance)
        try:
            return await in_thread(act, instance, **more)
        except KeyError:
            raise web.HTTPError(404, f"no running model has the id {instance}; it may have stopped already") from None

    def write_error(self, status_code: int, **details: Any) -> None:
        error = details.get("exc_info", (None, None))[1]
        if isinstance(error, GpumodelsError):
            self.set_status(status_of(error))
            self.finish({"message": str(error)})
        elif isinstance(error, web.HTTPError) and error.log_message:
            # Tornado doubles each % of a message that is not meant to be a format.
            self.finish({"message": error.log_message % error.args})
        else:
            super().write_error(status_code, **details)

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        """Log an error of gpumodels as one line, without a traceback: it is a user's mistake, not a defect."""
        if isinstance(error, GpumodelsError):
            self.log.warning("gpumodels: %s %s: %s", self.request.method, self.request.path, error)
        else:
            super().log_exception(kind, error, traceback)


def check_id(text: str) -> None:
    """Raise HTTP 400 if a text cannot be the id of a model or of a load."""
    if not ID.fullmatch(text):
        raise web.HTTPError(400, "that is not the id of a model: an id consists of letters, digits, - and _")


def status_of(error: GpumodelsError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)
