"""The routes of the gateway: the Open Inference Protocol, and `predict` for people and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.jupyter.gateway.base import CallHandler, GatewayHandler, check_version
from gpumodels.jupyter.gateway.names import HEADER_LENGTH, VERSION
from gpumodels.jupyter.gateway.predict import PredictHandler
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from tornado.web import RequestHandler


class HealthHandler(GatewayHandler):
    """`GET v2/health/live` and `GET v2/health/ready`: always true, because this Jupyter server answers."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, what: str) -> None:
        if what not in {"live", "ready"}:
            raise web.HTTPError(404)
        self.finish({what: True})


class ServerHandler(GatewayHandler):
    """`GET v2`: name and version of this server, and `models`, the names of the models that can be called."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        from gpumodels import __version__  # noqa: PLC0415  (looked up at the first access)

        models = await in_thread((await self.gateway()).ready)
        self.finish(
            {"name": "gpumodels", "version": __version__, "extensions": ["binary_tensor_data"], "models": models}
        )


class MetadataHandler(GatewayHandler):
    """`GET v2/models/NAME`: the inputs and outputs of a model."""

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str = VERSION) -> None:
        check_version(name, version)
        self.finish(await in_thread((await self.gateway()).metadata, name))


class ReadyHandler(GatewayHandler):
    """`GET v2/models/NAME/ready`: 200 if the model can be called now, else the same error as for a call."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str = VERSION) -> None:
        check_version(name, version)
        callee, _ = await in_thread((await self.gateway()).find, name)
        self.finish({"name": callee.name, "ready": True})


class InferHandler(CallHandler):
    """`POST v2/models/NAME/infer`: one call, with tensors as JSON or as binary data."""

    async def answer(self) -> None:
        gateway, header_length = await self.gateway(), self.request.headers.get(HEADER_LENGTH)
        body, length = await self.in_turn(lambda: gateway.infer(self.call, self.received, header_length))
        if length is None:
            self.finish(body)
            return
        self.set_header(HEADER_LENGTH, str(length))
        self.finish(body, set_content_type="application/octet-stream")


ROUTES: tuple[tuple[str, type[RequestHandler]], ...] = (
    ("v2/health/{what}", HealthHandler),
    ("v2", ServerHandler),
    ("v2/models/{name}", MetadataHandler),
    ("v2/models/{name}/ready", ReadyHandler),
    ("v2/models/{name}/infer", InferHandler),
    ("v2/models/{name}/versions/{version}", MetadataHandler),
    ("v2/models/{name}/versions/{version}/ready", ReadyHandler),
    ("v2/models/{name}/versions/{version}/infer", InferHandler),
    ("predict/{name}", PredictHandler),
)
