"""Calls of models by HTTP, as clients of the Open Inference Protocol make them."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import closing

import numpy as np
import pytest
from tornado.httpclient import HTTPClientError

import gpumodels
from gpumodels.client import read_activity
from gpumodels.instances import attached, running
from gpumodels.jupyter.description import complaint
from gpumodels.jupyter.gateway.handlers import ROUTES
from gpumodels.jupyter.gateway.queueing import Queue
from tests.leftovers import until

HEAD = "Inference-Header-Content-Length"


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def load():
    """A function that loads a model in this process: `load("echo")`. The model is stopped after the test."""
    loaded = []

    def begin(name="echo", **options):
        loaded.append(gpumodels.load(name, engine="fake", gpu="none", **options))
        return loaded[-1]

    yield begin
    for model in loaded:
        model.stop()


@pytest.fixture
def ask(jp_fetch):
    """A function that sends a request below `v2` and returns the response: `await ask("models/echo/infer", {...})`."""

    async def fetch(path, body=None, **options):
        given = {"method": "GET"} if body is None else {"method": "POST", "body": body}
        if isinstance(body, dict):
            given["body"] = json.dumps(body)
        return await jp_fetch("gpumodels", "v2", *path.split("/"), **given, request_timeout=60, **options)

    return fetch


async def refused(asking):
    """Return the status, the message and the headers of a request that must fail."""
    with pytest.raises(HTTPClientError) as error:
        await asking
    answer = json.loads(error.value.response.body)
    assert answer["message"] == answer["error"]
    assert not complaint("Error", answer)
    return error.value.code, answer["message"], error.value.response.headers


def request(data, *, sleep=0, **parameters):
    inputs = [{"name": "value", "shape": [len(data)], "datatype": "FP32", "data": data}]
    if sleep:
        inputs.append({"name": "sleep", "shape": [], "datatype": "FP64", "data": [sleep]})
    return {"inputs": inputs, **parameters}


async def start(asking):
    """Start a request as a task, and wait until the only running model works on it."""
    (record,) = await asyncio.to_thread(running)
    task = asyncio.ensure_future(asking)

    def is_running():
        seen = read_activity(attached(record).connector(), record.model, 1)
        return seen is not None and seen.running

    await asyncio.to_thread(until, is_running, 30)
    return task


@pytest.fixture
def raw(jp_http_port, jp_base_url, jp_auth_header):
    """A function that sends a call and returns the open stream: `await raw({...})`. Nothing reads the answer.

    With `unsent`, the body lacks that many bytes.
    """

    async def post(content, *, unsent=0):
        body = json.dumps(content)
        _, writer = await asyncio.open_connection("localhost", jp_http_port)
        head = f"POST {jp_base_url}gpumodels/v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Authorization: {jp_auth_header['Authorization']}\r\nContent-Length: {len(body) + unsent}\r\n\r\n"
        writer.write((head + body).encode())
        return writer

    return post


async def test_the_protocol_from_health_to_inference(ask, load):
    load()
    assert json.loads((await ask("health/live")).body) == {"live": True}
    assert json.loads((await ask("health/ready")).body) == {"ready": True}
    server = json.loads((await ask("")).body)
    assert (server["name"], server["extensions"], server["models"]) == ("gpumodels", ["binary_tensor_data"], ["echo"])
    assert not complaint("InferServer", server)
    assert json.loads((await ask("models/echo/ready")).body) == {"name": "echo", "ready": True}
    metadata = json.loads((await ask("models/echo/versions/1")).body)
    assert (metadata["name"], metadata["versions"]) == ("echo", ["1"])
    assert not complaint("InferMetadata", metadata)
    assert metadata["inputs"][0]["name"] == "value"
    assert metadata["inputs"][1]["parameters"]["optional"] is True
    answer = json.loads((await ask("models/echo/infer", request([1, 0.1], id="7"))).body)
    assert answer == {
        "model_name": "echo", "model_version": "1", "id": "7",
        "outputs": [{"name": "value", "datatype": "FP32", "shape": [2], "data": [1.0, 0.1]}],
    }  # fmt: skip
    assert not complaint("InferAnswer", answer)
    assert not complaint("InferRequest", request([1, 0.1], id="7"))


async def test_binary_data_both_ways(ask, load):
    model = load()
    array = np.arange(600_000, dtype=np.uint16)
    value = {"name": "value", "shape": [600_000], "datatype": "UINT16"}
    wanted = {"name": "value", "parameters": {"binary_data": True}}
    parameters = {"binary_data_size": array.nbytes}
    head = json.dumps({"inputs": [{**value, "parameters": parameters}], "outputs": [wanted]}).encode()
    answer = await ask(f"models/{model.record.id}/infer", head + array.tobytes(), headers={HEAD: str(len(head))})
    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers[HEAD])
    assert json.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": array.nbytes}
    np.testing.assert_array_equal(np.frombuffer(answer.body[length:], np.uint16), array)


async def test_errors_have_a_status_and_a_message(ask, load, monkeypatch):
    load()
    code, message, _ = await refused(ask("models/nemo/infer", request([1])))
    assert (code, message) == (404, "no running model is called nemo; the running models are: echo")
    assert (await refused(ask("models/echo/versions/2/infer", request([1]))))[0] == 404
    assert (await refused(ask("models/echo/infer", b"[")))[0] == 400
    code, message, _ = await refused(ask("models/echo/infer", {"inputs": []}))
    assert (code, message.partition("; ")[2]) == (400, "missing: value")
    code, message, _ = await refused(ask("models/echo/infer", request([1], outputs=[{"name": "other"}])))
    assert (code, message) == (400, "echo has no output 'other'; its outputs are value")
    boom = request([1])
    boom["inputs"].append({"name": "fail", "shape": [], "datatype": "BYTES", "data": ["boom 100%"]})
    with pytest.raises(HTTPClientError) as raised:
        await ask("models/echo/infer", boom)
    answer = json.loads(raised.value.response.body)
    assert (raised.value.code, answer["message"]) == (500, "echo: ValueError: boom 100%")
    assert "predict" in answer["traceback"]
    late = request([1], sleep=60, parameters={"timeout": 200_000})
    assert (await refused(ask("models/echo/infer", late)))[0] == 504
    assert (await refused(ask("models/echo/infer", request([1]), headers={"Content-Encoding": "gzip"})))[0] == 415
    monkeypatch.setenv("GPUMODELS_GATEWAY_BODY", "1 KiB")
    assert (await refused(ask("models/echo/infer", b"x" * 1025)))[0] == 413
    assert (await refused(ask("models/echo/infer", b"x" * 9, params={"timeout": "-1"})))[0] == 400


async def test_models_of_the_same_name_are_called_by_id(ask, load, puppet):
    mine, other = load(), puppet()
    other.do("import gpumodels; echo = gpumodels.load('echo', engine='fake', gpu='none')")
    theirs = other.do("echo.record.id")
    code, message, _ = await refused(ask("models/echo/infer", request([1])))
    assert code == 409
    assert mine.record.id in message
    assert theirs in message
    assert json.loads((await ask(f"models/{theirs}/infer", request([1]))).body)["model_name"] == "echo"


async def test_a_call_does_not_keep_a_model_alive_after_its_notebook(ask, puppet):
    other = puppet()
    other.do("import gpumodels; echo = gpumodels.load('echo', engine='fake', gpu='none')")
    await ask("models/echo/infer", request([1]))
    calling = await start(refused(ask("models/echo/infer", request([1], sleep=600))))
    other.kill()
    code, message, _ = await calling
    assert code == 502
    assert "ended before it answered" in message
    assert (await refused(ask("models/echo/infer", request([1]))))[0] == 404


async def test_a_sleeping_model_is_503_and_wakes_on_the_call_if_this_server_loaded_it(ask, load, puppet):
    other = puppet()
    other.do("import gpumodels; echo = gpumodels.load('echo', engine='fake', gpu='none')")
    await ask("models/echo/infer", request([1]))
    other.do("echo.sleep() is None")
    code, message, headers = await refused(ask("models/echo/infer", request([1])))
    assert (code, int(headers["Retry-After"]) > 0) == (503, True)
    assert "POST gpumodels/api/models/echo-" in message
    other.do("echo.stop()")
    model = load()
    model.sleep()
    assert json.loads((await ask("models/echo")).body)["name"] == "echo"
    assert json.loads((await ask("")).body)["models"] == ["echo"]
    assert model.asleep
    assert json.loads((await ask("models/echo/infer", request([1]))).body)["outputs"][0]["data"] == [1.0]
    assert model.alive


async def test_calls_need_the_token_and_authorization(ask, load, jp_serverapp, monkeypatch, jp_fetch):
    load()
    wrong = {"Authorization": "token wrong"}
    for path, _ in ROUTES:
        parts = path.format(name="echo", version="1", what="live").split("/")
        posts = parts[-1] == "infer" or parts[0] == "predict"
        given = {"method": "POST", "body": "{}"} if posts else {}
        assert (await refused(jp_fetch("gpumodels", *parts, headers=wrong, **given)))[0] == 403, path
    monkeypatch.setattr(
        type(jp_serverapp.authorizer), "is_authorized", lambda self, handler, user, action, resource: action == "read"
    )
    assert (await ask("models/echo")).code == 200
    code, message, _ = await refused(ask("models/echo/infer", request([1])))
    assert (code, message) == (403, "User is not authorized to write on resource: gpumodels.")


async def test_a_browsers_cookie_needs_the_xsrf_token(ask, load):
    load()
    login = (await ask("")).headers["Set-Cookie"].partition(";")[0]
    cookies = {"Authorization": "", "Cookie": f"{login}; _xsrf=abc"}
    assert (await refused(ask("models/echo/infer", request([1]), headers=cookies)))[0] == 403
    assert (await ask("models/echo/infer", request([1]), headers={**cookies, "X-XSRFToken": "abc"})).code == 200


async def test_a_full_queue_is_429_and_the_other_calls_are_answered(ask, load, monkeypatch):
    monkeypatch.setenv("GPUMODELS_GATEWAY_CALLS", "1")
    monkeypatch.setenv("GPUMODELS_GATEWAY_WAITING", "2")
    load()
    first = await start(ask("models/echo/infer", request([1], sleep=3)))
    answers = await asyncio.gather(*(ask("models/echo/infer", request([1])) for _ in range(6)), return_exceptions=True)
    codes = sorted(answer.code for answer in answers)
    assert codes == [200] * 2 + [429] * 4
    busy = next(answer for answer in answers if answer.code == 429)
    assert busy.response.headers["Retry-After"] == "1"
    assert (await first).code == 200
    assert (await ask("models/echo/infer", request([1]))).code == 200


async def test_a_client_that_goes_away_ends_its_call(ask, load, raw):
    model = load()
    writer = await (await start(raw(request([1], sleep=600))))
    writer.close()
    assert (await ask("models/echo/infer", request([1]))).code == 200  # it waits until the model is free
    assert "call cancelled by the client" in model.logs()


async def test_a_client_that_sends_the_whole_body_before_it_reads_gets_the_error(
    ask, load, jp_http_port, jp_base_url, jp_auth_header
):
    """Send as most HTTP libraries do. If the server closed the connection early, they would not see the response."""
    load()

    def post():
        connection = http.client.HTTPConnection("localhost", jp_http_port)
        with closing(connection):
            for name in ("nemo", "echo"):
                path = f"{jp_base_url}gpumodels/v2/models/{name}/infer"
                connection.request("POST", path, json.dumps(request([1])) + " " * (6 << 20), jp_auth_header)
                answer = connection.getresponse()
                yield answer.status, answer.read()

    await ask("")
    (gone, answer), (found, _) = await asyncio.to_thread(lambda: list(post()))
    assert (gone, found) == (404, 200)
    assert b"no running model is called nemo" in answer


async def test_a_loading_model_is_503_and_replicas_are_one_model(ask, load, puppet):
    other = puppet()
    begin = "import gpumodels, threading; threading.Thread(target=gpumodels.load, args=('echo',), kwargs={}).start()"
    options = "dict(engine='fake', gpu='none', env={'ECHO_LOAD': 'sleep:3'})"
    other.do(f"exec({begin.replace('{}', options)!r})")
    await asyncio.to_thread(until, running, 20)
    code, message, headers = await refused(ask("models/echo/infer", request([1])))
    assert (code, headers["Retry-After"]) == (503, "2")
    assert "echo is being loaded" in message
    other.kill()
    await asyncio.to_thread(until, lambda: not running(), 20)
    model = load(replicas=2)
    answers = await asyncio.gather(*(ask("models/echo/infer", request([1])) for _ in range(6)))
    assert [answer.code for answer in answers] == [200] * 6
    assert len(model.replicas) == 2


async def test_a_client_that_leaves_the_queue_makes_room(ask, load, raw, monkeypatch):
    monkeypatch.setenv("GPUMODELS_GATEWAY_CALLS", "1")
    monkeypatch.setenv("GPUMODELS_GATEWAY_WAITING", "1")
    moved = []
    for step in ("enter", "leave"):
        real = getattr(Queue, step)
        monkeypatch.setattr(
            Queue, step, lambda self, *given, real=real, step=step: moved.append(step) or real(self, *given)
        )
    load()
    first = await start(ask("models/echo/infer", request([1], sleep=3)))
    waiting = await raw(request([1]))
    await asyncio.to_thread(until, lambda: moved == ["enter"] * 2, 30)
    assert (await refused(ask("models/echo/infer", request([1]))))[0] == 429
    waiting.close()
    await asyncio.to_thread(until, lambda: moved[-1] == "leave", 30)
    assert (await ask("models/echo/infer", request([1]))).code == 200
    assert (await first).code == 200
    half = await raw(request([1]), unsent=1)
    await asyncio.to_thread(until, lambda: moved[-1] == "enter", 30)
    half.close()
    await asyncio.to_thread(until, lambda: moved[-1] == "leave", 30)
