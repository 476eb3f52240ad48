"""Routes that need no running model: the catalog, the doctor's checks, and the description of all routes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.errors import GpumodelsError
from gpumodels.jupyter import description
from gpumodels.jupyter.base import ModelsHandler
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.doctor import Finding


class CatalogHandler(ModelsHandler):
    """`GET catalog`: `{"models": [...], "engines": [...]}`, the models that can be loaded by name, and the engines."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(await in_thread(_catalog))


class DoctorHandler(ModelsHandler):
    """`GET doctor`: `{"checks": [...]}`, the checks that `gpumodels doctor` prints. They take some seconds."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish({"checks": [asdict(finding) for finding in await in_thread(_findings)]})


class DescriptionHandler(ModelsHandler):
    """`GET openapi.json`: the OpenAPI description of all routes."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        servers = [{"url": self.base_url.rstrip("/") or "/"}]
        self.finish({**description.DOCUMENT, "servers": servers})


def _catalog() -> dict[str, Any]:
    from gpumodels import catalog, engines  # noqa: PLC0415  (imported at the first request)

    names = ["auto", *(name for name in engines.names() if name != "fake")]  # "fake" is for tests
    return {"models": [_model(name, summary) for name, summary in catalog.names()], "engines": names}


def _model(name: str, summary: str) -> dict[str, Any]:
    """Return a model of the catalog in the form of the schema CatalogModel of openapi.json."""
    from gpumodels import catalog  # noqa: PLC0415

    described = {"name": name, "summary": summary, "memory": 0, "folder": "", "trouble": ""}
    try:
        spec = catalog.find(name)
    except GpumodelsError as error:
        return {**described, "trouble": str(error)}
    return {**described, "memory": spec.memory, "folder": str(spec.folder)}


def _findings() -> list[Finding]:
    from gpumodels.doctor import run_checks  # noqa: PLC0415

    return list(run_checks())
