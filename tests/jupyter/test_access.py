"""Access to every route and method. It is refused without the token, to another site's form, and by the authorizer."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError

from gpumodels.jupyter.routes import ROUTES

VERBS = ("GET", "POST", "PUT", "DELETE")
REQUESTS = [
    (path.format(**dict.fromkeys(("instance", "load", "name", "version"), "echo-1"), what="live"), verb)
    for path, handler in ROUTES
    for verb in VERBS
    if getattr(handler, verb.lower()).__module__.startswith("gpumodels.")
]


@pytest.fixture
def ask(jp_fetch, fake_models):
    """A function that sends a request and returns the status and the body. The request must be refused."""
    fake_models.add("echo-1")

    async def fetch(path, verb, **options):
        body = "{}" if verb in ("POST", "PUT") else None
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch("gpumodels", *path.split("/"), method=verb, body=body, **options)
        assert list(fake_models.records) == ["echo-1"]
        return refused.value.code, refused.value.response.body.decode()

    return fetch


async def test_nobody_gets_in_without_the_token(ask):
    for path, verb in REQUESTS:
        assert (await ask(path, verb, headers={"Authorization": "token wrong"}))[0] == 403, path


async def test_a_browsers_cookie_alone_changes_nothing(ask, jp_fetch):
    """Send the request of another site's form: it has the cookie, but not the XSRF token."""
    login = (await jp_fetch("gpumodels", "api", "models")).headers["Set-Cookie"].partition(";")[0]
    for path, verb in REQUESTS:
        if verb != "GET":
            code, body = await ask(path, verb, headers={"Authorization": "", "Cookie": f"{login}; _xsrf=abc"})
            assert (code, "_xsrf" in body) == (403, True), path


async def test_an_authorizer_that_refuses_is_obeyed_everywhere(ask, jp_serverapp, monkeypatch):
    checked = []

    def refuse(_self, _handler, _user, action, resource):
        checked.append((action, resource))
        return False

    monkeypatch.setattr(type(jp_serverapp.authorizer), "is_authorized", refuse)
    for path, verb in REQUESTS:
        code, body = await ask(path, verb)
        assert code == 403, path
        assert checked.pop() == ("read" if verb == "GET" else "write", "gpumodels")
        if path != "api/feed":
            assert "not authorized" in json.loads(body)["message"]


async def test_an_authorizer_that_allows_reading_only_is_obeyed(ask, jp_fetch, jp_serverapp, monkeypatch):
    monkeypatch.setattr(
        type(jp_serverapp.authorizer), "is_authorized", lambda self, handler, user, action, resource: action == "read"
    )
    assert json.loads((await jp_fetch("gpumodels", "api", "models")).body)["models"]
    for path, verb in REQUESTS:
        if verb != "GET":
            assert (await ask(path, verb))[0] == 403
