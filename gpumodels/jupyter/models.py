"""Routes of models: list those that run, load one, stop it, put it to sleep, wake it, read its log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.instances import record_json, sleeping_json
from gpumodels.jupyter.base import ModelsHandler, check_id
from gpumodels.jupyter.kernels import renamed
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.instances import SleepingModel
    from gpumodels.lease import Owner

#: What a kernel runs, silently, of a model that sleeps there; it leaves no name in the user's namespace.
_MANAGER = '__import__("gpumodels.manager", fromlist=["_"])'
WAKE, STOP = f"{_MANAGER}.sleepers.wake_here({{!r}})", f"{_MANAGER}.stop_instance({{!r}}, by={{!r}})"


class SleepersHandler(ModelsHandler):
    """What is done to a model that sleeps is done where it does: its handle alone knows of it."""

    async def sleepers(self, instance: str) -> list[Owner]:
        """Who has it asleep; HTTP's 404 where nobody does."""
        found = [each.owner for each in await in_thread(_sleepers) if each.record.id == instance]
        if not found:
            raise web.HTTPError(404, f"no model has the id {instance} here; it may be awake, or have stopped, already")
        return found

    def kernels_of(self, owners: list[Owner]) -> list[str]:
        """Which kernels of this server those are; HTTP's 409 where they are none."""
        found = [owner.kernel_id for owner in owners if self.context.kernels.has(owner.kernel_id)]
        if not found:
            raise web.HTTPError(409, "it sleeps in a program that this Jupyter server did not start: use it there")
        return found

    async def in_kernel(self, kernel_id: str, code: str) -> bool:
        """Have the kernel run it; whether a cell runs there, which goes first."""
        try:
            return not await self.context.kernels.run(kernel_id, code)
        except KeyError:
            raise web.HTTPError(404, "it sleeps there no more") from None


class ListHandler(ModelsHandler):
    """`GET models`: `{"models": [...]}`, those that run, the schema ListedModel.

    `POST models`: loads one in the Jupyter server's own process; 202 with `{"load": ID}`.
    """

    @web.authenticated
    @authorized
    async def get(self) -> None:
        records = await in_thread(self.context.models.running)
        notebooks = await self.context.kernels.notebooks()
        self.finish({"models": [renamed(record_json(record), notebooks) for record in records]})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        options = self.body("LoadRequest")
        load = await self.context.loading.begin(options.pop("model"), options)
        self.set_status(202)
        self.finish({"load": load})


class ModelHandler(SleepersHandler):
    """`GET models/ID`: that model, which may be asleep; 404 where none has that id, 400 where it cannot be one.

    `DELETE models/ID`: 204 when it has stopped; 202 with `{"waits": true}` for one that sleeps in a kernel where a cell
    runs, after which it is forgotten. `?by=dashboard` for a button there.
    """

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        told = await self.of_model(self._described, instance)
        self.finish(renamed(told, await self.context.kernels.notebooks()))

    def _described(self, instance: str) -> dict[str, Any]:
        """Raises KeyError."""
        found = {sleeper.record.id: sleeping_json(sleeper) for sleeper in _sleepers()}
        return (found | {record.id: record_json(record) for record in self.context.models.running()})[instance]

    @web.authenticated
    @authorized
    async def delete(self, instance: str) -> None:
        by = "the dashboard" if self.get_query_argument("by", "") == "dashboard" else "the sidebar"
        check_id(instance)
        try:
            await in_thread(self.context.models.stop_instance, instance, by=by)
        except KeyError:
            kernels = self.kernels_of(await self.sleepers(instance))
            if any([await self.in_kernel(kernel, STOP.format(instance, by)) for kernel in kernels]):
                self.set_status(202)
                self.finish({"waits": True})
                return
        self.set_status(204)
        self.finish()


class SleepHandler(ModelsHandler):
    """`POST models/ID/sleep`: 204 when it sleeps; 404 and 400 as above."""

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        await self.of_model(self.context.models.sleep_instance, instance)
        self.set_status(204)
        self.finish()


class WakeHandler(SleepersHandler):
    """`POST models/ID/wake`: 202 when it begins to wake, where it was loaded.

    `{"waits": true}` where a cell runs there: it wakes after that. 404 where none of that id sleeps; 409 where this
    server has no hand on the process that put it to sleep.
    """

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        check_id(instance)
        owners = await self.sleepers(instance)
        if any(owner.pid == os.getpid() for owner in owners):
            waits = False
            await self.of_model(_wake_here, instance)
        else:
            waits = await self.in_kernel(self.kernels_of(owners)[0], WAKE.format(instance))
        self.set_status(202)
        self.finish({"waits": waits})


class LogsHandler(ModelsHandler):
    """`GET models/ID/logs`: `{"lines": [...]}`, the last that its model server printed; 404 and 400 as above."""

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        self.finish({"lines": await self.of_model(_last_lines, instance)})


def _sleepers() -> list[SleepingModel]:
    from gpumodels.instances import sleeping  # noqa: PLC0415  a server that nobody asks for it needs none of that

    return sleeping()


def _wake_here(instance: str) -> None:
    from gpumodels.instances import wake_here  # noqa: PLC0415

    wake_here(instance)


def _last_lines(instance: str) -> list[str]:
    from gpumodels.instances import last_lines_of  # noqa: PLC0415

    return last_lines_of(instance)
