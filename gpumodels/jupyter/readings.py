"""Routes of what can be seen here: GPUs by holder, models with their work, and this server's kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.jupyter.base import ModelsHandler

if TYPE_CHECKING:
    from gpumodels.jupyter.feed import State


class StateHandler(ModelsHandler):
    """`GET state`: what the feed tells, once; for those who cannot have a WebSocket."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(await self.look())


class UsageHandler(ModelsHandler):
    """`GET usage`: what the dashboard in a notebook asks once a second, see docs/dashboard.md."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        seen = await self.look()
        self.finish(
            {
                **{name: seen[name] for name in ("place", "moment", "trouble", "kernels")},
                "devices": list(seen["devices"].values()),
                "models": [
                    {**model, "idle": _idle(model, seen["moment"])}
                    for model in seen["models"].values()
                    if model["state"] != "asleep"
                ],
            }
        )


def _idle(model: State, moment: float) -> float | None:
    """Seconds since its last call, 0 while one runs; None where it does not say."""
    since: float | None = model["idle_since"]
    if since is None:
        return 0.0 if model["activity"] else None
    return max(0.0, moment - since)


class GpusHandler(ModelsHandler):
    """`GET gpus`: GPUs and slices with their memory by holder, as `gpumodels gpus --json` prints them."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        seen = await self.look()
        told = {name: seen[name] for name in ("moment", "trouble")}
        self.finish({**told, "devices": list(seen["devices"].values())})
