"""Routes of models: list those that run, load one, stop it, put it to sleep, wake it, read its log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.instances import record_json, sleeping_json
from gpumodels.jupyter.base import ModelsHandler, check_id
from gpumodels.jupyter.kernels import with_present_notebook
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.instances import SleepingModel
    from gpumodels.lease import Owner

#: The code that a kernel runs for a model that sleeps there. It leaves no name in the user's namespace.
_MANAGER = '__import__("gpumodels.manager", fromlist=["_"])'
WAKE, STOP = f"{_MANAGER}.sleepers.wake_here({{!r}})", f"{_MANAGER}.stop_instance({{!r}}, by={{!r}})"


class SleepersHandler(ModelsHandler):
    """The base class of routes that act on a sleeping model. Only the process with its handle can wake or stop it."""

    async def sleepers(self, instance: str) -> list[Owner]:
        """Return the processes in which the model sleeps. Raises HTTP 404 if there is none."""
        found = [each.owner for each in await in_thread(_sleepers) if each.record.id == instance]
        if not found:
            raise web.HTTPError(404, f"no model has the id {instance} here; it may be awake or stopped already")
        return found

    def kernels_of(self, owners: list[Owner]) -> list[str]:
        """Return the ids of the kernels of this server among `owners`. Raises HTTP 409 if there is none."""
        found = [owner.kernel_id for owner in owners if self.context.kernels.has(owner.kernel_id)]
        if not found:
            raise web.HTTPError(
                409, "the model sleeps in a program that this Jupyter server did not start: wake or stop it there"
            )
        return found

    async def in_kernel(self, kernel_id: str, code: str) -> bool:
        """Run code in a kernel. Return True if a cell is running there, so that the code waits for its end.

        Raises HTTP 404 if the code raises KeyError.
        """
        try:
            return not await self.context.kernels.run(kernel_id, code)
        except KeyError:
            raise web.HTTPError(404, "the model does not sleep any more; it may be awake or stopped already") from None


class ListHandler(ModelsHandler):
    """`GET models`: `{"models": [...]}`, the running models; the schema ListedModel.

    `POST models`: load a model in the Jupyter server's own process; 202 with `{"load": ID}`.
    """

    @web.authenticated
    @authorized
    async def get(self) -> None:
        records = await in_thread(self.context.models.running)
        notebooks = await self.context.kernels.notebooks()
        self.finish({"models": [with_present_notebook(record_json(record), notebooks) for record in records]})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        options = self.body("LoadRequest")
        load = await self.context.loading.begin(options.pop("model"), options)
        self.set_status(202)
        self.finish({"load": load})


class ModelHandler(SleepersHandler):
    """`GET models/ID`: one model, which may be asleep; 404 if no model has that id, 400 if the id is malformed.

    `DELETE models/ID`: stop the model; 204 when it has stopped. 202 with `{"waits": true}` if it sleeps in a kernel
    that runs a cell: the model stops after that cell. The dashboard's button sends `?by=dashboard`.
    """

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        described = await self.run_for_model(self._described, instance)
        self.finish(with_present_notebook(described, await self.context.kernels.notebooks()))

    def _described(self, instance: str) -> dict[str, Any]:
        """Return a running or sleeping model as JSON. Raises KeyError if there is none with that id."""
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
    """`POST models/ID/sleep`: put the model to sleep; 204 when it sleeps. 404 and 400 as for `GET models/ID`."""

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        await self.run_for_model(self.context.models.sleep_instance, instance)
        self.set_status(204)
        self.finish()


class WakeHandler(SleepersHandler):
    """`POST models/ID/wake`: wake the model in the process that loaded it; 202 when it begins to wake.

    `{"waits": true}` if a cell runs there: the model wakes after that cell. 404 if no model of that id sleeps; 409 if
    it sleeps in a process that this server did not start.
    """

    @web.authenticated
    @authorized
    async def post(self, instance: str) -> None:
        check_id(instance)
        owners = await self.sleepers(instance)
        if any(owner.pid == os.getpid() for owner in owners):
            waits = False
            await self.run_for_model(_wake_here, instance)
        else:
            waits = await self.in_kernel(self.kernels_of(owners)[0], WAKE.format(instance))
        self.set_status(202)
        self.finish({"waits": waits})


class LogsHandler(ModelsHandler):
    """`GET models/ID/logs`: `{"lines": [...]}`, the last lines that the model server printed.

    404 and 400 as for `GET models/ID`.
    """

    @web.authenticated
    @authorized
    async def get(self, instance: str) -> None:
        self.finish({"lines": await self.run_for_model(_last_lines, instance)})


def _sleepers() -> list[SleepingModel]:
    from gpumodels.instances import sleeping  # noqa: PLC0415  (imported at the first request)

    return sleeping()


def _wake_here(instance: str) -> None:
    from gpumodels.instances import wake_here  # noqa: PLC0415

    wake_here(instance)


def _last_lines(instance: str) -> list[str]:
    from gpumodels.instances import last_lines_of  # noqa: PLC0415

    return last_lines_of(instance)
