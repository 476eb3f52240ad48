"""The REST interface under `/gpumodels/api/`: list this user's running models, stop one.

Whatever waits (files, Docker) runs in a thread, so that the Jupyter server's event loop never does. Errors are
answered as JSON, `{"message": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from gpumodels.errors import GpumodelsError
from gpumodels.widgets.described import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.lease.record import InstanceRecord

#: What an instance id may look like; nothing else reaches the manager, which makes paths of ids.
ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Models(Protocol):
    """What the routes need of the manager."""

    def running(self) -> Sequence[InstanceRecord]:
        """List this user's instances, whichever notebook or process asked for them."""

    def stop_instance(self, instance_id: str, /, by: str) -> None:
        """End one; raises KeyError where none has that id."""


class ModelsHandler(APIHandler):
    """What every route shares: the source of its answers, and errors as JSON."""

    auth_resource = "gpumodels"

    def initialize(self, models: Models) -> None:
        self.models = models

    def write_error(self, status_code: int, **details: Any) -> None:
        error = details.get("exc_info", (None, None))[1]
        if not isinstance(error, GpumodelsError):
            super().write_error(status_code, **details)
            return
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"message": str(error)}))


class ListHandler(ModelsHandler):
    """`GET models`: `{"models": [...]}`, see `widgets.described`."""

    # The panel asks every few seconds: that must not keep an idle server from being culled.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        records = await asyncio.to_thread(self.models.running)
        sessions = await self.session_manager.list_sessions()  # type: ignore[no-untyped-call]
        # The session knows the path even after the notebook was renamed, and as the browser would open it.
        notebooks = {session["kernel"]["id"]: session["path"] for session in sessions if session.get("kernel")}
        self.finish({"models": [describe(record, notebooks) for record in records]})


class ModelHandler(ModelsHandler):
    """`DELETE models/ID`: 204 when it has stopped, 404 where none has that id, 400 where it cannot be one."""

    @web.authenticated
    @authorized
    async def delete(self, instance: str) -> None:
        if not ID.fullmatch(instance):
            raise web.HTTPError(400, "that is not the id of a model: letters, digits, - and _ make one")
        try:
            await asyncio.to_thread(self.models.stop_instance, instance, by="the sidebar")
        except KeyError:
            raise web.HTTPError(404, f"no running model has the id {instance}; it may have stopped already") from None
        self.set_status(204)
        self.finish()


def add_routes(app: web.Application, models: Models) -> None:
    """Serve `models` under the Jupyter server's base_url."""
    root = url_path_join(app.settings["base_url"], "gpumodels", "api")
    given = {"models": models}
    app.add_handlers(
        ".*$",
        [
            (url_path_join(root, "models"), ListHandler, given),
            (url_path_join(root, "models", "(?P<instance>[^/]+)"), ModelHandler, given),
        ],
    )
