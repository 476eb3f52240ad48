"""`POST predict/NAME`: requests as forms, pictures and JSON, answers as JSON or as a stream."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from tornado.httpclient import HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

import gpumodels
from gpumodels.jupyter.gateway import fetching
from tests.leftovers import until

FINDER_TOML = """
name = "finder"
requirements = []
[[inputs]]
name = "picture"
dtype = "uint8"
shape = ["H", "W", 3]
kind = "image"
[[inputs]]
name = "threshold"
dtype = "float32"
shape = []
optional = true
[[inputs]]
name = "marks"
dtype = "int64"
shape = ["N"]
optional = true
[[outputs]]
name = "boxes"
dtype = "float32"
shape = ["M", 4]
kind = "boxes"
[[outputs]]
name = "threshold"
dtype = "float32"
shape = []
[[outputs]]
name = "mark"
dtype = "bytes"
shape = []
"""
FINDER = """
import numpy as np

class Model:
    def load(self, device): pass

    def predict(self, picture, threshold=0.5, marks=(1,)):
        height, width, _ = picture.shape
        boxes = np.array([[0, 0, width, height], [0.1, np.nan, 1, picture[0, 0, 0]]], np.float32)
        return {"boxes": boxes, "threshold": threshold, "mark": bytes(list(marks))}
"""
TALKER_TOML = """
name = "talker"
requirements = []
"""
TALKER = """
import pathlib
from collections.abc import Iterator

class Model:
    def load(self, device): pass

    def predict(self, count: int, size: int = 1, into: str = "", fail: bool = False) -> Iterator[str]:
        for number in range(count):
            if into:
                pathlib.Path(into).write_text(str(number))
            yield f"{number} ".ljust(size, ".")
        if fail:
            raise ValueError("no more words")
"""


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def loaded(tmp_path):
    """A function that loads a model of these files: `loaded(toml, code)`. The model is stopped after the test."""
    models = []

    def load(toml, code):
        folder = tmp_path / f"model-{len(models)}"
        folder.mkdir()
        (folder / "model.toml").write_text(toml)
        (folder / "model.py").write_text(code)
        models.append(gpumodels.load(folder, engine="fake", gpu="none"))
        return models[-1]

    yield load
    for model in models:
        model.stop()


@pytest.fixture
def predict(jp_fetch):
    """A function that sends a request and returns the response: `await predict("finder", body, "image/png")`."""

    async def post(name, body, content_type="application/json", accept="*/*", **query):
        given = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": accept}
        return await jp_fetch(
            "gpumodels", "predict", name, method="POST", body=given, headers=headers, params=query, request_timeout=60
        )

    return post


async def refused(asking):
    with pytest.raises(HTTPClientError) as error:
        await asking
    return error.value.code, json.loads(error.value.response.body)["message"]


def png(red=7, width=5, height=3):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def form(*parts):
    """Return the body of a form and its content type; parts are (name, content) or (name, content, filename)."""
    written = b""
    for name, content, *filename in parts:
        file = f'; filename="{filename[0]}"' if filename else ""
        written += f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        written += (content if isinstance(content, bytes) else content.encode()) + b"\r\n"
    return written + b"--b--\r\n", "multipart/form-data; boundary=b"


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


async def test_pictures_and_fields_are_accepted_in_every_form_and_answers_are_json(predict, loaded):
    loaded(FINDER_TOML, FINDER)
    found = {"boxes": [[0, 0, 5, 3], [0.1, None, 1, 7]], "threshold": 0.5, "mark": {"base64": "AQ=="}}
    data = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    pixels = np.asarray(Image.open(io.BytesIO(png()))).tolist()
    for body, *content_type in (
        form(("picture", png(), "a.png")), ({"picture": data},), (data,), ({"picture": pixels},), (pixels,),
        ({"picture": {"base64": base64.b64encode(png()).decode()}},), form(("picture", data)),
    ):  # fmt: skip
        answer = await predict("finder", body, *content_type)
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.body) == found
    both = form(("picture", png(), "a.png"), ("threshold", "0.25"), ("marks", npy(np.array([2, 3])), "m.npy"))
    answer = json.loads((await predict("finder", *both)).body)
    assert (answer["threshold"], answer["mark"]) == (0.25, {"base64": "AgM="})
    described = json.loads((await predict("finder", *form(("picture", png(), "a.png")), arrays="described")).body)
    assert described["boxes"] == {"dtype": "float32", "shape": [2, 4], "data": found["boxes"]}


async def test_a_list_of_pictures_is_a_list_of_answers(predict, loaded):
    loaded(FINDER_TOML, FINDER)
    both = form(("picture", png(1), "a.png"), ("threshold", "1"), ("picture", png(2), "b.png"))
    answer = json.loads((await predict("finder", *both)).body)
    assert [(each["boxes"][1][3], each["threshold"]) for each in answer] == [(1, 1), (2, 1)]
    data = f"data:image/png;base64,{base64.b64encode(png(9)).decode()}"
    assert [each["boxes"][1][3] for each in json.loads((await predict("finder", [data])).body)] == [9]
    lines = (await predict("finder", [data, data], accept="application/x-ndjson")).body.decode().splitlines()
    assert [json.loads(line)["boxes"][1][3] for line in lines] == [9, 9]


async def test_requests_that_do_not_fit_the_model_are_refused_in_one_sentence(predict, loaded, tmp_path):
    loaded(FINDER_TOML, FINDER)
    (tmp_path / "secret.png").write_bytes(png())
    huge = npy(np.zeros(2, np.int64)).replace(b"(2,)", b"(2000000000,)")[: len(npy(np.zeros(2, np.int64)))]
    picture = ("picture", png(), "a.png")
    cases = [
        (str(tmp_path / "secret.png"), "application/json", 400, "send the picture as a file of a form"),
        ({"picture": f"file://{tmp_path}/secret.png"}, "application/json", 400, "send the picture as a file"),
        ({"picture": "https://example.org/a.png"}, "application/json", 403, "gateway_fetch is off"),
        ({"picture": "data:image/png;base64,?"}, "application/json", 400, "is not base64"),
        ({"image": 1}, "application/json", 400, "finder has no input 'image'; it takes picture: uint8[H, W, 3], "),
        ({"threshold": 1}, "application/json", 400, "missing: picture"),
        (b"[1", "application/json", 400, "not JSON"),
        (b"x", "image/png", 415, "image/png is not accepted: send application/json, or a form"),
        (b"x", "multipart/form-data; boundary=b", 400, "the form cannot be read"),
        (b"x", "multipart/form-data", 400, "the form cannot be read"),
        (*form(("image", png(), "a.png")), 400, "the form has a part 'image'; the inputs are picture: uint8"),
        (*form(("picture", b"no picture", "a.png")), 400, "not a picture that can be decoded"),
        (*form(picture, ("threshold", "1"), ("threshold", "2")), 400, "threshold: float32[]? was given 2 times"),
        (*form(picture, ("threshold", "high")), 400, "threshold: float32[]? cannot be 'high'"),
        (*form(picture, ("marks", b"\xff\xfe", "m.bin")), 400, "neither text nor a .npy file"),
        (*form(picture, ("marks", huge, "m.npy")), 400, "bytes do not fit int64"),
        (*form(picture, ("marks", npy(np.array([print], object)), "m.npy")), 400, "bytes do not fit object"),
    ]
    for body, content_type, status, message in cases:
        code, error = await refused(predict("finder", body, content_type))
        assert code == status, error
        assert message in error
    assert (await refused(predict("finder", 1, arrays="tables")))[0] == 400


async def test_a_picture_is_fetched_from_its_address_if_the_settings_allow_it(predict, loaded, monkeypatch):
    class Picture(RequestHandler):
        def get(self):
            self.write(png(6))

    socket, port = bind_unused_port()
    server = HTTPServer(Application([("/a.png", Picture)]))
    server.add_socket(socket)
    loaded(FINDER_TOML, FINDER)
    monkeypatch.setenv("GPUMODELS_GATEWAY_FETCH", "on")
    url = f"http://127.0.0.1:{port}/a.png"
    assert await refused(predict("finder", [url])) == (
        400,
        "127.0.0.1 is not fetched: it is not in the public internet",
    )
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")
    assert [each["boxes"][1][3] for each in json.loads((await predict("finder", [url, url])).body)] == [6, 6]
    assert json.loads((await predict("finder", *form(("picture", url)))).body)["boxes"][1][3] == 6
    server.stop()
    await server.close_all_connections()


async def test_any_json_value_is_an_input_by_itself_or_by_name(predict):
    with gpumodels.load("echo", engine="fake", gpu="none"):
        for body, answer in (
            ({"value": [1, 2]}, [1, 2]), ([1, {"a": None}], [1, {"a": None}]), ({"a": 1}, {"a": 1}), ("text", "text"),
            ({"value": {"base64": "AQ=="}}, {"base64": "AQ=="}), (None, None),
        ):  # fmt: skip
            assert json.loads((await predict("echo", body)).body) == answer
        array = np.float64([[0.5, np.inf]])
        assert json.loads((await predict("echo", *form(("value", npy(array), "x.npy")))).body) == [[0.5, None]]


async def test_several_answers_come_as_lines_or_as_events(predict, loaded, jp_fetch):
    loaded(TALKER_TOML, TALKER)
    answer = await predict("talker", {"count": 3})
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.body.splitlines()] == ["0 ", "1 ", "2 "]
    answer = await predict("talker", 2, accept="text/event-stream")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.body == b'data: "0 "\n\ndata: "1 "\n\n'
    assert (await predict("talker", 0)).body == b""
    lines = (await predict("talker", {"count": 1, "fail": True})).body.splitlines()
    assert json.loads(lines[0]) == "0 "
    assert json.loads(lines[1])["error"] == "talker: ValueError: no more words"
    code, error = await refused(predict("talker", {"count": 0, "fail": True}))
    assert (code, error) == (500, "talker: ValueError: no more words")
    with pytest.raises(HTTPClientError, match="400"):
        await jp_fetch("gpumodels", "v2", "models", "talker", "infer", method="POST", body='{"inputs": []}')


async def test_a_slow_reader_slows_the_model_and_one_that_leaves_ends_the_call(
    loaded, tmp_path, predict, jp_http_port, jp_base_url, jp_auth_header
):
    model = loaded(TALKER_TOML, TALKER)
    progress = tmp_path / "progress"
    body = json.dumps({"count": 400, "size": 1 << 20, "into": str(progress)})
    reader, writer = await asyncio.open_connection("localhost", jp_http_port, limit=1 << 16)
    writer.write(
        f"POST {jp_base_url}gpumodels/predict/talker HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: {jp_auth_header['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    async def reached():
        """Wait until the model makes no more answers, and return the number of the last one."""
        before = -1
        while (now := int(progress.read_text() or 0)) != before:
            before = now
            await asyncio.sleep(1)
        return now

    assert await reached() < 200
    writer.close()
    await asyncio.to_thread(until, lambda: "call cancelled by the client" in model.logs(), 60)
    assert int(progress.read_text()) < 399
