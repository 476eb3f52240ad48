"""The routes of the gateway: the Open Inference Protocol, and `predict` for people and scripts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.client.plain import outputs
from gpumodels.jupyter.gateway import oip
from gpumodels.jupyter.gateway.base import CallHandler, GatewayHandler
from gpumodels.jupyter.gateway.predict import PredictHandler
from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from tornado.web import RequestHandler


class HealthHandler(GatewayHandler):
    """`GET v2/health/live` and `ready`: this Jupyter server answers."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, what: str) -> None:
        if what not in {"live", "ready"}:
            raise web.HTTPError(404)
        self.finish({what: True})


class ServerHandler(GatewayHandler):
    """`GET v2`: what answers here, and `models`, the names of what can be called."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        from gpumodels import __version__  # noqa: PLC0415  (looked up when it is asked for)

        models = await in_thread(self.gateway.callees.ready)
        told = {"name": "gpumodels", "version": __version__, "extensions": ["binary_tensor_data"], "models": models}
        self.finish(told)


class MetadataHandler(GatewayHandler):
    """`GET v2/models/NAME`: its inputs and outputs."""

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str = oip.VERSION) -> None:
        check_version(name, version)
        callees = self.gateway.callees

        def ask() -> dict[str, object]:
            callee = callees.find(name)
            return oip.metadata(callee.name, callees.signature(callee))

        self.finish(await in_thread(ask))


class ReadyHandler(GatewayHandler):
    """`GET v2/models/NAME/ready`: 200 where a call would be taken, else what stands against it."""

    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, name: str, version: str = oip.VERSION) -> None:
        check_version(name, version)
        callee = await in_thread(self.gateway.callees.find, name)
        self.finish({"name": callee.name, "ready": True})


class InferHandler(CallHandler):
    """`POST v2/models/NAME/infer`: one call, tensors as JSON or as binary data."""

    @web.authenticated
    @authorized
    async def post(self, name: str, version: str = oip.VERSION) -> None:
        check_version(name, version)
        body, length = await self.in_turn(self._answer)
        if length is None:
            self.finish(body)
            return
        self.set_header(oip.HEADER_LENGTH, str(length))
        self.finish(body, set_content_type="application/octet-stream")

    def _answer(self) -> tuple[bytes, int | None]:
        callees, callee = self.gateway.callees, self.callee
        signature = callees.signature(callee)
        if signature.stream:
            raise Refused(
                400, f"{callee.name} gives several answers to a call: ask POST gpumodels/predict/{callee.name}"
            )
        request = oip.read(self.received, self.request.headers.get(oip.HEADER_LENGTH), signature)
        deadline = min(self.deadline, time.monotonic() + (request.timeout or float("inf")))
        (answer,) = callees.answers(callee, request.inputs, deadline, self.ticket)
        return oip.write(callee.name, request, outputs(signature, answer), signature)


def check_version(name: str, version: str) -> None:
    """Raise Refused for another than the one that each model has."""
    if version != oip.VERSION:
        raise Refused(404, f"{name} has no version {version:.40}, only {oip.VERSION}")


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
