"""Routes of what can be seen here: GPUs by holder with the models' work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async
from tornado import web

from gpumodels.jupyter.base import ModelsHandler
from gpumodels.jupyter.threads import in_thread
from gpumodels.widgets.described import renamed

if TYPE_CHECKING:
    from gpumodels.widgets.state import State


class UsageHandler(ModelsHandler):
    """`GET usage`: `widgets.state.read`, and `kernels`, those of this Jupyter server by id: `state` and `pid`.

    The process tells a kernel from what it was before a restart; null where a provisioner does not say.
    """

    # A dashboard asks every second, for as long as it is on screen.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        state = await in_thread(_look)
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


def _look() -> State:
    from gpumodels.widgets.state import BOARD  # noqa: PLC0415  a server that nobody asks for it needs none of that

    return BOARD.look()
