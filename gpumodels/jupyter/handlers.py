"""The REST interface under `/gpumodels/api/`: this user's models and GPUs; stop a model, put it to sleep, read its log.

Whatever waits (files, Docker) runs in a thread, so that the Jupyter server's event loop never does. Errors are
answered as JSON, `{"message": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import ensure_async, url_path_join
from tornado import web

from gpumodels.errors import GpumodelsError
from gpumodels.widgets.described import describe, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.lease.record import InstanceRecord
    from gpumodels.widgets.state import State

T = TypeVar("T")

#: What an instance id may look like; nothing else reaches the manager, which makes paths of ids.
ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Models(Protocol):
    """What the routes need of the manager."""

    def running(self) -> Sequence[InstanceRecord]:
        """List this user's instances, whichever notebook or process asked for them."""

    def stop_instance(self, instance_id: str, /, by: str) -> None:
        """End one; raises KeyError where none has that id."""

    def sleep_instance(self, instance_id: str, /) -> None:
        """Put one to sleep; raises KeyError where none has that id."""


class ModelsHandler(APIHandler):
    """What every route shares: the source of its answers, and errors as JSON."""

    auth_resource = "gpumodels"

    def initialize(self, models: Models) -> None:
        self.models = models

    async def notebooks(self) -> dict[str, str]:
        """The paths of notebooks by kernel id, also of renamed ones, and as the browser would open them."""
        sessions = await self.session_manager.list_sessions()  # type: ignore[no-untyped-call]
        return {session["kernel"]["id"]: session["path"] for session in sessions if session.get("kernel")}

    async def of_model(self, act: Callable[..., T], instance: str, **more: Any) -> T:
        """Do it in a thread; what is not the id of a running model is an HTTP error."""
        if not ID.fullmatch(instance):
            raise web.HTTPError(400, "that is not the id of a model: letters, digits, - and _ make one")
        try:
            return await asyncio.to_thread(act, instance, **more)
        except KeyError:
            raise web.HTTPError(404, f"no running model has the id {instance}; it may have stopped already") from None

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
        notebooks = await self.notebooks()
        self.finish({"models": [renamed(describe(record), notebooks) for record in records]})


class UsageHandler(ModelsHandler):
    """`GET usage`: `widgets.state.read`, and `kernels`, those of this Jupyter server by id: `state` and `pid`.

    The process tells a kernel from what it was before a restart; null where a provisioner does not say.
    """

    # A dashboard asks every second, for as long as it is on screen.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        state = await asyncio.to_thread(_look)
        notebooks = await self.notebooks()
        listed = await ensure_async(self.kernel_manager.list_kernels())  # type: ignore[no-untyped-call]
        self.finish(
            {
                **state,
                "models": [renamed(model, notebooks) for model in state["models"]],
                "devices": [
                    {**device, "shares": [renamed(share, notebooks) for share in device["shares"]]}
                    for device in state["devices"]
                ],
                "kernels": {kernel["id"]: self._kernel(kernel) for kernel in listed},
            }
        )

    def _kernel(self, listed: dict[str, Any]) -> dict[str, Any]:
        managers = self.kernel_manager
        manager = managers.get_kernel(listed["id"]) if listed["id"] in managers else None
        pid = getattr(getattr(manager, "provisioner", None), "pid", None)
        return {"state": listed["execution_state"], "pid": pid}


class ModelHandler(ModelsHandler):
    """`DELETE models/ID`: 204 when it has stopped, 404 where none has that id, 400 where it cannot be one.

    `?by=dashboard` for a button there.
    """

    @web.authenticated
    @authorized
    async def delete(self, instance: str) -> None:
        by = "the dashboard" if self.get_query_argument("by", "") == "dashboard" else "the sidebar"
        await self.of_model(self.models.stop_instance, instance, by=by)
        self.set_status(204)
        self.finish()


class SleepHandler(ModelsHandler):
    """`POST models/ID/sleep`: 204 when it sleeps; 404 and 400 as above."""

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        await self.of_model(self.models.sleep_instance, instance)
        self.set_status(204)
        self.finish()


class LogsHandler(ModelsHandler):
    """`GET models/ID/logs`: `{"lines": [...]}`, the last that its model server printed; 404 and 400 as above."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        self.finish({"lines": await self.of_model(_last_lines, instance)})


def _look() -> State:
    from gpumodels.widgets.state import BOARD  # noqa: PLC0415  a server that nobody asks for it needs none of that

    return BOARD.look()


def _last_lines(instance: str) -> list[str]:
    from gpumodels.widgets.state import last_lines  # noqa: PLC0415

    return last_lines(instance)


def add_routes(app: web.Application, models: Models) -> None:
    """Serve `models` under the Jupyter server's base_url."""
    root = url_path_join(app.settings["base_url"], "gpumodels", "api")
    given = {"models": models}
    app.add_handlers(
        ".*$",
        [
            (url_path_join(root, "models"), ListHandler, given),
            (url_path_join(root, "models", "(?P<instance>[^/]+)"), ModelHandler, given),
            (url_path_join(root, "models", "(?P<instance>[^/]+)", "sleep"), SleepHandler, given),
            (url_path_join(root, "models", "(?P<instance>[^/]+)", "logs"), LogsHandler, given),
            (url_path_join(root, "usage"), UsageHandler, given),
        ],
    )
