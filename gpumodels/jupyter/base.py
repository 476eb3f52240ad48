"""What every route shares: where its answers come from, waiting in threads, and errors as one sentence of JSON."""

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

#: What an id may look like; nothing else reaches the manager, which makes paths of ids.
ID = re.compile(r"[A-Za-z0-9_-]{1,200}")

_LONGEST = 1 << 16  # bytes of a request's JSON: it is read on the event loop

#: HTTP's status for errors of ours, the first that fits; any other is 500.
STATUS: tuple[tuple[type[GpumodelsError], int], ...] = (
    (ModelNotFound, 404),
    (EngineUnavailable, 503),
    (LoadRefused, 400),
    (ModelFolderError, 400),
    (SettingsError, 400),
    (DeviceError, 409),
)


class ModelsHandler(APIHandler):
    """The base of every route: `context`, what the server shares; errors of ours as JSON, `{"message": ...}`."""

    auth_resource = "gpumodels"

    def initialize(self, context: ServerContext) -> None:
        self.context = context

    def update_api_activity(self) -> None:
        """Who only looks, again and again, keeps no idle server from being culled."""
        if self.request.method != "GET":
            super().update_api_activity()

    async def look(self) -> State:
        """What the feed tells, at most a second old; where that cannot be had in time it is HTTP's 503."""
        try:
            return await self.context.feed.look()
        except TimeoutError:
            raise web.HTTPError(503, SLOW) from None

    def body(self, schema: str) -> dict[str, Any]:
        """The JSON of the request, as that schema of openapi.json has it; anything else is HTTP's 400."""
        if len(self.request.body) > _LONGEST:
            raise web.HTTPError(413, f"the request is longer than {_LONGEST} bytes")
        try:
            given: Any = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:  # the first is also what text that is not UTF-8 raises
            raise web.HTTPError(400, f"the request is not JSON: {error}") from None
        if complaint := description.complaint(schema, given):
            raise web.HTTPError(400, complaint)
        return dict(given)

    async def of_model(self, act: Callable[..., T], instance: str, **more: Any) -> T:
        """Do it in a thread; what is not the id of a running model is an HTTP error."""
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
        """A user's mistake is one line of the server's log."""
        if isinstance(error, GpumodelsError):
            self.log.warning("gpumodels: %s %s: %s", self.request.method, self.request.path, error)
        else:
            super().log_exception(kind, error, traceback)


def check_id(text: str) -> None:
    """Raise HTTP 400 for what cannot be the id of a model or of a load."""
    if not ID.fullmatch(text):
        raise web.HTTPError(400, "that is not the id of a model: letters, digits, - and _ make one")


def status_of(error: GpumodelsError) -> int:
    """The status that an error of ours is answered with."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)
