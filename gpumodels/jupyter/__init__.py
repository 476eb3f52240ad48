"""The Jupyter server extension: routes under Jupyter's own authentication, and cleanup after kernels that ended."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from gpumodels import cleanup, instances
from gpumodels.jupyter.context import ServerContext
from gpumodels.jupyter.kernel_reaper import KernelReaper
from gpumodels.jupyter.routes import add_routes

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "gpumodels"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "gpumodels"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    context = ServerContext(instances, app.web_app.settings, app.log)
    add_routes(app.web_app, context)
    app.io_loop.add_callback(KernelReaper(context.kernels, app.log).start)
    Thread(target=_sweep, args=(app,), name="gpumodels-sweep", daemon=True).start()


def _sweep(app: ServerApp) -> None:
    """Remove what a crash has left. A failure is only logged, so that the Jupyter server starts anyway."""
    try:
        cleanup.sweep()
    except Exception:
        app.log.exception("gpumodels: sweeping leftovers failed; the next load tries again")
