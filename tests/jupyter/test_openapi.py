"""openapi.json agrees with the handlers: every path and method is described, and real answers match the schemas."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from jsonschema import Draft202012Validator
from tornado.httpclient import HTTPClientError

import gpumodels
from gpumodels.jupyter import description
from gpumodels.jupyter.routes import ROUTES
from tests.fakes.nvml import GB, gpu
from tests.leftovers import until

VERBS = ("get", "post", "put", "patch", "delete", "head")
PATHS = description.DOCUMENT["paths"]


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


def test_every_route_and_verb_is_described_and_the_reverse():
    handled = {(f"/gpumodels/{path}", verb) for path, handler in ROUTES for verb in VERBS if _own(handler, verb)}
    described = {(path, verb) for path, verbs in PATHS.items() for verb in verbs if verb in VERBS}
    assert handled == described


def _own(handler, verb):
    """Return True if gpumodels defines the method. The one of tornado answers 405."""
    return getattr(handler, verb).__module__.startswith("gpumodels.")


def test_the_description_is_valid_and_its_references_exist():
    document = description.DOCUMENT
    assert all(f"{{{name}}}" in path for path, verbs in PATHS.items() for name in _in_path(verbs))
    operations = [operation for verbs in PATHS.values() for operation in verbs.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in _references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _in_path(verbs):
    parameters = description.DOCUMENT["components"]["parameters"]
    named = [parameters[each["$ref"].split("/")[-1]] for verb in verbs.values() for each in verb.get("parameters", ())]
    return {each["name"] for each in named if each["in"] == "path"}


def _references(value):
    if isinstance(value, dict):
        yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else ()
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _references(each)


def _check(response, path, verb="get"):
    """Validate a response against the description of its status. Return its JSON."""
    described = PATHS[f"/gpumodels/api/{path}"][verb]["responses"][str(response.code)]
    if "$ref" in described:
        described = description.DOCUMENT["components"]["responses"][described["$ref"].split("/")[-1]]
    if "content" not in described:
        assert response.body == b""
        return None
    schema = {**described["content"]["application/json"]["schema"], "components": description.DOCUMENT["components"]}
    answer = json.loads(response.body)
    Draft202012Validator(schema).validate(answer)
    return answer


@pytest.fixture
def gpus(build):
    machine = build(gpu("NVIDIA H100", 80 * GB))
    machine.hold(os.getpid(), GB)
    return machine


async def test_answers_match_the_description(jp_fetch, jp_ws_fetch, jp_serverapp, gpus, monkeypatch):
    async def ask(path, *parts, verb="get", **given):
        response = await jp_fetch("gpumodels", "api", *parts, method=verb.upper(), **given)
        return _check(response, path, verb)

    async def refused(path, *parts, verb="get", **given):
        with pytest.raises(HTTPClientError) as error:
            await jp_fetch("gpumodels", "api", *parts, method=verb.upper(), **given)
        return _check(error.value.response, path, verb)

    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    session = await jp_serverapp.session_manager.create_session(
        path="signs.ipynb", type="notebook", kernel_name="python3"
    )
    socket = await jp_ws_fetch("gpumodels", "api", "feed")
    awake = await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="0")
    sleeping = await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none")
    await asyncio.to_thread(sleeping.sleep)
    with pytest.raises(gpumodels.LoadFailed):
        await asyncio.to_thread(gpumodels.load, "echo", engine="fake", gpu="none", env={"ECHO_LOAD": "fail"})
    one, other = awake.record.id, sleeping.record.id
    await asyncio.sleep(1)
    state = await ask("state", "state")
    assert {one, other} <= set(state["models"])
    assert all(state[table] for table in ("devices", "loads", "events"))
    assert all(device["shares"] for device in state["devices"].values())
    assert state["kernels"][session["kernel"]["id"]]["notebook"] == "signs.ipynb"
    assert "Docker does not answer at unix:///nowhere" in state["docker"]
    for path in ("usage", "gpus", "models", "loads", "catalog", "doctor", "openapi.json"):
        assert await ask(path, path)
    for instance in (one, other):
        assert (await ask("models/{instance}", "models", instance))["id"] == instance
    assert await ask("models/{instance}/logs", "models", one, "logs")
    begun = await ask("models", "models", verb="post", body='{"model": "echo", "engine": "fake", "gpu": "none"}')
    await asyncio.to_thread(until, lambda: len(gpumodels.instances.models()) == 3, 60)
    assert begun["load"].startswith("echo-")
    (failed,) = (await ask("loads", "loads"))["loads"]
    await ask("loads/{load}", "loads", failed["id"], verb="delete")
    await ask("models/{instance}/sleep", "models", one, "sleep", verb="post", body="")
    await ask("models/{instance}/wake", "models", one, "wake", verb="post", body="")
    await asyncio.to_thread(until, lambda: awake.alive, 60)
    await ask("models/{instance}", "models", awake.record.id, verb="delete")
    await refused("models/{instance}", "models", "gone-1", verb="delete")
    await refused("models/{instance}/wake", "models", "%25", "wake", verb="post", body="")
    await refused("models", "models", verb="post", body="{}")
    seen = []
    while not {"snapshot", "change"} <= {message["type"] for message in seen}:
        seen.append(json.loads(await socket.read_message()))
        assert not description.complaint("FeedMessage", seen[-1])
