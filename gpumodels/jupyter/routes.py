"""The table of all routes and their handlers, below `gpumodels/` of the Jupyter server's base_url.

A test checks that openapi.json describes the same routes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_server.utils import url_path_join

from gpumodels.jupyter import about, loads, models, readings, sockets
from gpumodels.jupyter.gateway import handlers as gateway

if TYPE_CHECKING:
    from tornado.web import Application, RequestHandler

    from gpumodels.jupyter.context import ServerContext

#: Paths in the form of OpenAPI. The part that stands for `{name}` is passed to the handler's methods as `name`.
ROUTES: tuple[tuple[str, type[RequestHandler]], ...] = (
    ("api/models", models.ListHandler),
    ("api/models/{instance}", models.ModelHandler),
    ("api/models/{instance}/sleep", models.SleepHandler),
    ("api/models/{instance}/wake", models.WakeHandler),
    ("api/models/{instance}/logs", models.LogsHandler),
    ("api/loads", loads.LoadsHandler),
    ("api/loads/{load}", loads.LoadHandler),
    ("api/state", readings.StateHandler),
    ("api/feed", sockets.FeedHandler),
    ("api/usage", readings.UsageHandler),
    ("api/gpus", readings.GpusHandler),
    ("api/catalog", about.CatalogHandler),
    ("api/doctor", about.DoctorHandler),
    ("api/openapi.json", about.DescriptionHandler),
    *gateway.ROUTES,
)


def add_routes(app: Application, context: ServerContext) -> None:
    """Register all routes with a web application."""
    arguments = {"context": context}
    root = url_path_join(app.settings["base_url"], "gpumodels")
    app.add_handlers(".*$", [(url_path_join(root, _pattern(path)), handler, arguments) for path, handler in ROUTES])


def _pattern(path: str) -> str:
    """Return the regular expression of a path. The part for a `{name}` matches any text without a slash."""
    parts = re.split(r"\{(\w+)\}", path)
    return "".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
