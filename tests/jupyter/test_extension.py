"""The server extension as Jupyter loads it by its name, with the real manager behind it."""

from __future__ import annotations

import json
import time

import pytest
from tornado.httpclient import HTTPClientError

import gpumodels
from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.manager.place import runtime_directory


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "models"))
    return runtime_directory()


@pytest.fixture
def jp_server_config(runtime):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


async def test_a_model_of_this_user_is_listed_and_stopped(jp_fetch):
    with gpumodels.load("echo", engine="fake", gpu="none") as model:
        listed = json.loads((await jp_fetch("gpumodels", "api", "models")).body)["models"]
        assert [(each["id"], each["name"], each["state"]) for each in listed] == [(model.record.id, "echo", "ready")]
        answer = await jp_fetch("gpumodels", "api", "models", model.record.id, method="DELETE")
        assert answer.code == 204
        with pytest.raises(gpumodels.ModelStopped, match="stopped from the sidebar at"):
            model("hello")
        assert json.loads((await jp_fetch("gpumodels", "api", "models")).body) == {"models": []}


def test_leftovers_are_swept_at_the_start(runtime, jp_configurable_serverapp):
    left = runtime.path / "echo-0123456789"
    left.mkdir(mode=0o700)
    (left / "lease").touch()
    record = InstanceRecord(id=left.name, model="echo", engine="fake", owner=Owner(pid=1), created=0.0)
    (left / "instance.json").write_text(record.to_json())
    jp_configurable_serverapp()
    deadline = time.monotonic() + 30
    while left.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left.exists()


@pytest.fixture
def unusable_runtime(runtime, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUMODELS_RUNTIME_DIR", str(tmp_path / "file"))


async def test_an_unusable_runtime_directory_keeps_no_jupyter_from_starting(unusable_runtime, jp_fetch):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("gpumodels", "api", "models")
    assert refused.value.code == 500
    assert "GPUMODELS_RUNTIME_DIR" in json.loads(refused.value.response.body)["message"]


async def test_wrong_settings_keep_nobody_from_seeing_what_runs(runtime, jp_fetch, tmp_path):
    place = tmp_path / "config" / "gpumodels"
    place.mkdir(parents=True)
    (place / "settings.toml").write_text('engin = "docker"\nidle = ')
    answer = await jp_fetch("gpumodels", "api", "models")
    assert json.loads(answer.body) == {"models": []}
