"""A real Jupyter server in this process. Its routes serve models that the test makes up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

# This is not loaded as a plugin, because its autouse fixtures would then count for all tests and not only for these.
from pytest_jupyter.jupyter_server import *  # noqa: F403

from gpumodels.errors import EngineUnavailable
from gpumodels.jupyter.context import ServerContext
from gpumodels.jupyter.routes import add_routes
from gpumodels.lease.record import InstanceRecord, Owner

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


class FakeModels:
    """Models that do not exist, with the functions of `context.Models` that the routes call."""

    def __init__(self) -> None:
        self.records: dict[str, InstanceRecord] = {}
        self.stopped_by: dict[str, str] = {}
        self.asleep: list[str] = []
        self.broken: Exception | None = None

    def add(self, instance_id: str, **fields: object) -> InstanceRecord:
        values = {"model": "echo", "engine": "process", "owner": Owner(pid=4711), "created": 1_760_000_000.0, **fields}
        self.records[instance_id] = InstanceRecord(id=instance_id, **values)
        return self.records[instance_id]

    def running(self) -> list[InstanceRecord]:
        if self.broken:
            raise self.broken
        return list(self.records.values())

    def stop_instance(self, instance_id: str, by: str) -> None:
        del self.records[instance_id]
        self.stopped_by[instance_id] = by

    def sleep_instance(self, instance_id: str) -> None:
        del self.records[instance_id]
        self.asleep.append(instance_id)


@pytest.fixture
def no_docker() -> EngineUnavailable:
    return EngineUnavailable("Docker does not answer, so echo cannot be asked for; start it.")


@pytest.fixture
def jp_server_config() -> dict[str, object]:
    return {"ServerApp": {"allow_unauthenticated_access": False}}


@pytest.fixture
def fake_models(jp_serverapp: ServerApp) -> FakeModels:
    fake_models = FakeModels()
    app = jp_serverapp.web_app
    add_routes(app, ServerContext(fake_models, app.settings, jp_serverapp.log))
    return fake_models
