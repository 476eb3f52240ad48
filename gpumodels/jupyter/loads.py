"""Routes of loads: list them, cancel one, dismiss one that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.instances import load_json
from gpumodels.jupyter.base import ModelsHandler, check_id
from gpumodels.jupyter.kernels import with_present_notebook
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.instances import Load


class LoadsHandler(ModelsHandler):
    """`GET loads`: `{"loads": [...]}`, the loads in progress and those that failed."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        found = await in_thread(_loads)
        notebooks = await self.context.kernels.notebooks()
        self.finish({"loads": [with_present_notebook(load_json(load), notebooks) for load in found]})


class LoadHandler(ModelsHandler):
    """`DELETE loads/ID`: dismiss a failed load (204), or cancel a load of this server at its next step (202).

    404 if no load has that id; 409 if another process runs the load, because only that process can cancel it.
    """

    @web.authenticated
    @authorized
    async def delete(self, load: str) -> None:
        check_id(load)
        if self.context.loading.cancel(load):
            self.set_status(202)
            self.finish({})
            return
        found = {each.id: each for each in await in_thread(_loads)}.get(load)
        if found is None:
            raise web.HTTPError(404, f"no load has the id {load}; it may be over, or dismissed already")
        if not found.failed:
            whose = found.notebook or f"process {found.pid}"
            raise web.HTTPError(409, f"{found.model} is loaded by {whose}: interrupt it there")
        await in_thread(_dismiss, load)
        self.set_status(204)
        self.finish()


def _loads() -> list[Load]:
    from gpumodels.instances import list_loads  # noqa: PLC0415  (imported at the first request)

    return list_loads()


def _dismiss(load: str) -> None:
    from gpumodels.instances import dismiss_load  # noqa: PLC0415

    try:
        dismiss_load(load)
    except KeyError:  # it has been dismissed meanwhile
        return
