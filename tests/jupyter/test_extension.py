"""The server extension as Jupyter loads it by its name, with real models."""

from __future__ import annotations

import json
import time

import pytest
from tornado.httpclient import HTTPClientError

import gpumodels
from gpumodels.instances import runtime_directory
from gpumodels.lease.processes import of_instance
from gpumodels.lease.record import InstanceRecord, Owner
from tests.fakes.nvml import GB, gpu


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


@pytest.fixture
def gpus(build):
    return build(gpu("NVIDIA H100", 80 * GB))


async def _usage(jp_fetch, right):
    """Return the usage as soon as `right(usage)` holds. A reading is reused for a second, so the first may be old."""
    deadline = time.monotonic() + 30
    while not right(usage := json.loads((await jp_fetch("gpumodels", "api", "usage")).body)):
        assert time.monotonic() < deadline, usage
    return usage


async def test_usage_has_devices_models_and_kernels(jp_fetch, jp_web_app, jp_serverapp, gpus):
    kernel = await jp_serverapp.session_manager.create_session(
        path="signs.ipynb", type="notebook", kernel_name="python3"
    )
    kernel_id = kernel["kernel"]["id"]
    before = jp_web_app.settings.get("api_last_activity")
    with gpumodels.load("echo", engine="fake", gpu="0") as model:
        gpus.hold(of_instance(model.record.id)[-1], 12 * GB)
        model("hello")
        usage = await _usage(jp_fetch, lambda usage: usage["devices"] and usage["devices"][0]["memory_used"] == 12 * GB)
        (device,), (described,) = usage["devices"], usage["models"]
        assert [(each["instance"], each["memory"]) for each in device["shares"]] == [(model.record.id, 12 * GB)]
        assert (described["id"], described["memory"], described["activity"]["calls"]) == (model.record.id, 12 * GB, 1)
        assert 0 <= described["idle"] < 60
        assert usage["kernels"][kernel_id]["pid"] == jp_serverapp.kernel_manager.get_kernel(kernel_id).provisioner.pid
        assert usage["place"] == runtime_directory().identity
    assert jp_web_app.settings.get("api_last_activity") == before, "a request that only reads is no activity"


async def test_the_log_of_a_model_can_be_read(jp_fetch):
    with gpumodels.load("echo", engine="fake", gpu="none") as model:
        answer = await jp_fetch("gpumodels", "api", "models", model.record.id, "logs")
        assert "echo is ready" in "\n".join(json.loads(answer.body)["lines"])
    with pytest.raises(HTTPClientError, match="404"):
        await jp_fetch("gpumodels", "api", "models", "gone-1", "logs")


async def test_a_model_of_another_process_is_put_to_sleep_and_wakes_with_its_next_call(jp_fetch, puppet):
    other = puppet()
    other.do("import gpumodels; echo = gpumodels.load('echo', engine='fake', gpu='none')")
    instance = other.do("echo.record.id")
    answer = await jp_fetch("gpumodels", "api", "models", instance, "sleep", method="POST", body="")
    assert answer.code == 204
    assert other.do("echo('hello')") == "hello"


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


async def test_jupyter_starts_despite_an_unusable_runtime_directory(unusable_runtime, jp_fetch):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("gpumodels", "api", "models")
    assert refused.value.code == 500
    assert "GPUMODELS_RUNTIME_DIR" in json.loads(refused.value.response.body)["message"]


async def test_models_are_listed_despite_wrong_settings(runtime, jp_fetch, tmp_path):
    directory = tmp_path / "config" / "gpumodels"
    directory.mkdir(parents=True)
    (directory / "settings.toml").write_text('engin = "docker"\nidle = ')
    answer = await jp_fetch("gpumodels", "api", "models")
    assert json.loads(answer.body) == {"models": []}
