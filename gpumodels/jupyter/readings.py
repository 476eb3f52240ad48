"""Routes of what can be seen here: GPUs by holder, models with their work, and this server's kernels."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.jupyter.base import ModelsHandler


class StateHandler(ModelsHandler):
    """`GET state`: what the feed tells, once; for those who cannot have a WebSocket."""

    # Who watches asks again and again: that must not keep an idle server from being culled.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(await self.look())


class UsageHandler(ModelsHandler):
    """`GET usage`: what the dashboard in a notebook asks once a second, see docs/dashboard.md."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        seen = await self.look()
        self.finish(
            {
                **{name: seen[name] for name in ("place", "moment", "trouble", "kernels")},
                "devices": list(seen["devices"].values()),
                "models": [model for model in seen["models"].values() if model["state"] != "asleep"],
            }
        )


class GpusHandler(ModelsHandler):
    """`GET gpus`: GPUs and slices with their memory by holder, as `gpumodels gpus --json` prints them."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        seen = await self.look()
        told = {name: seen[name] for name in ("moment", "trouble")}
        self.finish({**told, "devices": list(seen["devices"].values())})
