"""The REST interface of a real Jupyter server, with models that do not exist."""

from __future__ import annotations

import json
import threading

import pytest
from tornado.httpclient import HTTPClientError

from gpumodels.lease.record import Owner


def _models(response):
    return json.loads(response.body)["models"]


async def _refused(fetching) -> tuple[int, str]:
    """Return the status and the message of a request that must fail."""
    with pytest.raises(HTTPClientError) as refused:
        await fetching
    return refused.value.code, json.loads(refused.value.response.body)["message"]


async def test_nothing_running_is_an_empty_list(jp_fetch, fake_models):
    assert _models(await jp_fetch("gpumodels", "api", "models")) == []


async def test_a_running_model_is_described(jp_fetch, fake_models):
    owner = Owner(pid=4711, kernel_id="k-1", notebook="/home/ada/signs.ipynb")
    fake_models.add(
        "ctpn-1", model="ctpn", owner=owner, state="ready", devices=({"uuid": "GPU-a", "index": 0, "label": "GPU 0"},)
    )
    assert _models(await jp_fetch("gpumodels", "api", "models")) == [
        {
            "id": "ctpn-1",
            "name": "ctpn",
            "notebook": "/home/ada/signs.ipynb",
            "kernel_id": "k-1",
            "pid": 4711,
            "device": "GPU 0",
            "engine": "process",
            "since": "2025-10-09T08:53:20+00:00",
            "state": "ready",
            "kept_since": "",
            "over_since": "",
        }
    ]


async def test_a_renamed_notebook_is_listed_under_its_new_name(jp_fetch, jp_serverapp, fake_models):
    sessions = jp_serverapp.session_manager
    session = await sessions.create_session(path="first.ipynb", type="notebook", kernel_name="python3")
    fake_models.add("echo-1", owner=Owner(pid=1, kernel_id=session["kernel"]["id"], notebook="/home/ada/first.ipynb"))
    await sessions.update_session(session["id"], path="renamed.ipynb")
    assert _models(await jp_fetch("gpumodels", "api", "models"))[0]["notebook"] == "renamed.ipynb"


async def test_stop_ends_the_model_and_records_who_stopped_it(jp_fetch, fake_models):
    fake_models.add("echo-1")
    response = await jp_fetch("gpumodels", "api", "models", "echo-1", method="DELETE")
    assert (response.code, response.body) == (204, b"")
    assert fake_models.stopped_by == {"echo-1": "the sidebar"}


async def test_a_stop_from_the_dashboard_is_recorded_as_such(jp_fetch, fake_models):
    fake_models.add("echo-1")
    await jp_fetch("gpumodels", "api", "models", "echo-1", method="DELETE", params={"by": "dashboard"})
    assert fake_models.stopped_by == {"echo-1": "the dashboard"}


async def test_a_model_is_put_to_sleep(jp_fetch, fake_models):
    fake_models.add("echo-1")
    answer = await jp_fetch("gpumodels", "api", "models", "echo-1", "sleep", method="POST", body="")
    assert (answer.code, fake_models.asleep) == (204, ["echo-1"])
    code, _ = await _refused(jp_fetch("gpumodels", "api", "models", "echo-1", "sleep", method="POST", body=""))
    assert code == 404


async def test_stop_of_an_unknown_id_is_404(jp_fetch, fake_models):
    code, message = await _refused(jp_fetch("gpumodels", "api", "models", "gone-1", method="DELETE"))
    assert code == 404
    assert message == "no model has the id gone-1 here; it may be awake or stopped already"


@pytest.mark.parametrize("malformed", ["..", "..%2Fecho-1", ".hidden", "a%00b", "x" * 201, "a%20b", "%25s", "%C3%A9"])
async def test_a_malformed_id_of_a_model_is_refused(
    malformed, http_server_client, jp_base_url, jp_auth_header, fake_models
):
    url = f"{jp_base_url}gpumodels/api/models/{malformed}"
    code, message = await _refused(http_server_client.fetch(url, method="DELETE", headers=jp_auth_header))
    assert code == 400
    assert "not the id of a model" in message


async def test_a_verb_that_is_not_offered_is_405(jp_fetch, fake_models):
    assert (await _refused(jp_fetch("gpumodels", "api", "models", method="PUT", body="{}")))[0] == 405
    assert (await _refused(jp_fetch("gpumodels", "api", "state", method="DELETE")))[0] == 405


async def test_a_browsers_cookie_alone_cannot_stop_a_model(jp_fetch, fake_models):
    """Send the request of another site's form: it has the cookie, but not the XSRF token."""
    fake_models.add("echo-1")
    login = (await jp_fetch("gpumodels", "api", "models")).headers["Set-Cookie"].partition(";")[0]
    cookies = {"Authorization": "", "Cookie": f"{login}; _xsrf=abc"}
    request = jp_fetch("gpumodels", "api", "models", "echo-1", method="DELETE", headers=cookies)
    assert (await _refused(request))[0] == 403
    assert list(fake_models.records) == ["echo-1"]
    ours = {**cookies, "X-XSRFToken": "abc"}
    assert (await jp_fetch("gpumodels", "api", "models", "echo-1", method="DELETE", headers=ours)).code == 204


async def test_our_errors_come_as_one_sentence_of_json(jp_fetch, fake_models, no_docker):
    fake_models.broken = no_docker
    assert await _refused(jp_fetch("gpumodels", "api", "models")) == (503, str(no_docker))


async def test_an_unexpected_error_is_json_without_details(jp_fetch, fake_models):
    fake_models.broken = RuntimeError("a secret")
    assert await _refused(jp_fetch("gpumodels", "api", "models")) == (500, "Unhandled error")


async def test_listing_does_not_block_the_event_loop(jp_fetch, fake_models, monkeypatch):
    called_on: list[threading.Thread] = []
    running = fake_models.running
    monkeypatch.setattr(fake_models, "running", lambda: (called_on.append(threading.current_thread()), running())[1])
    await jp_fetch("gpumodels", "api", "models")
    assert called_on != [threading.current_thread()]


async def test_polling_is_not_counted_as_activity(jp_fetch, jp_web_app, fake_models):
    before = jp_web_app.settings.get("api_last_activity")
    await jp_fetch("gpumodels", "api", "models")
    assert jp_web_app.settings.get("api_last_activity") == before
