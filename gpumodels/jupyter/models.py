"""Routes of the models that run: list them, stop one, put it to sleep, read its log."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.jupyter.base import ModelsHandler
from gpumodels.jupyter.threads import in_thread
from gpumodels.widgets.described import describe, renamed


class ListHandler(ModelsHandler):
    """`GET models`: `{"models": [...]}`, see `widgets.described`."""

    # The panel asks every few seconds: that must not keep an idle server from being culled.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        records = await in_thread(self.desk.models.running)
        notebooks = await self.desk.kernels.notebooks()
        self.finish({"models": [renamed(describe(record), notebooks) for record in records]})


class ModelHandler(ModelsHandler):
    """`DELETE models/ID`: 204 when it has stopped, 404 where none has that id, 400 where it cannot be one.

    `?by=dashboard` for a button there.
    """

    @web.authenticated
    @authorized
    async def delete(self, instance: str) -> None:
        by = "the dashboard" if self.get_query_argument("by", "") == "dashboard" else "the sidebar"
        await self.of_model(self.desk.models.stop_instance, instance, by=by)
        self.set_status(204)
        self.finish()


class SleepHandler(ModelsHandler):
    """`POST models/ID/sleep`: 204 when it sleeps; 404 and 400 as above."""

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        await self.of_model(self.desk.models.sleep_instance, instance)
        self.set_status(204)
        self.finish()


class LogsHandler(ModelsHandler):
    """`GET models/ID/logs`: `{"lines": [...]}`, the last that its model server printed; 404 and 400 as above."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        self.finish({"lines": await self.of_model(_last_lines, instance)})


def _last_lines(instance: str) -> list[str]:
    from gpumodels.widgets.state import last_lines  # noqa: PLC0415  a server that nobody asks for it needs none of that

    return last_lines(instance)
