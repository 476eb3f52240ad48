"""Routes of the state: GPUs with their memory by holder, models with their activity, and this server's kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.jupyter.base import ModelsHandler

if TYPE_CHECKING:
    from gpumodels.jupyter.feed import State


class StateHandler(ModelsHandler):
    """`GET state`: the state of the feed, once; for clients that cannot open a WebSocket."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(await self.recent_state())


class UsageHandler(ModelsHandler):
    """`GET usage`: the state that the dashboard in a notebook polls once a second; see docs/dashboard.md."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        state = await self.recent_state()
        self.finish(
            {
                **{name: state[name] for name in ("place", "moment", "trouble", "kernels")},
                "devices": list(state["devices"].values()),
                "models": [
                    {**model, "idle": _idle(model, state["moment"])}
                    for model in state["models"].values()
                    if model["state"] != "asleep"
                ],
            }
        )


def _idle(model: State, moment: float) -> float | None:
    """Return the seconds since a model's last call; 0 while a call runs, None if the time is not known."""
    since: float | None = model["idle_since"]
    if since is None:
        return 0.0 if model["activity"] else None
    return max(0.0, moment - since)


class GpusHandler(ModelsHandler):
    """`GET gpus`: GPUs and slices with their memory by holder, in the form of `gpumodels gpus --json`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        state = await self.recent_state()
        self.finish(
            {"moment": state["moment"], "trouble": state["trouble"], "devices": list(state["devices"].values())}
        )
