"""Every route and verb, asked by those who may not: without a token, by another site's form, against the authorizer."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError

from gpumodels.jupyter.routes import ROUTES

VERBS = ("GET", "POST", "PUT", "DELETE")
ASKED = [
    (path.format(**dict.fromkeys(("instance", "load", "name", "version"), "echo-1"), what="live"), verb)
    for path, handler in ROUTES
    for verb in VERBS
    if getattr(handler, verb.lower()).__module__.startswith("gpumodels.")
]


@pytest.fixture
def ask(jp_fetch, shelf):
    """The status and the body of what must fail; afterwards nothing has been done."""
    shelf.put("echo-1")

    async def fetch(path, verb, **given):
        body = "{}" if verb in ("POST", "PUT") else None
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch("gpumodels", *path.split("/"), method=verb, body=body, **given)
        assert list(shelf.records) == ["echo-1"]
        return refused.value.code, refused.value.response.body.decode()

    return fetch


async def test_nobody_gets_in_without_the_token(ask):
    for path, verb in ASKED:
        assert (await ask(path, verb, headers={"Authorization": "token wrong"}))[0] == 403, path


async def test_a_browsers_cookie_alone_changes_nothing(ask, jp_fetch):
    """Another site's form would send the cookie, but cannot know the XSRF token."""
    login = (await jp_fetch("gpumodels", "api", "models")).headers["Set-Cookie"].partition(";")[0]
    for path, verb in ASKED:
        if verb != "GET":
            code, body = await ask(path, verb, headers={"Authorization": "", "Cookie": f"{login}; _xsrf=abc"})
            assert (code, "_xsrf" in body) == (403, True), path


async def test_an_authorizer_that_refuses_is_obeyed_everywhere(ask, jp_serverapp, monkeypatch):
    asked = []

    def refuse(_self, _handler, _user, action, resource):
        asked.append((action, resource))
        return False

    monkeypatch.setattr(type(jp_serverapp.authorizer), "is_authorized", refuse)
    for path, verb in ASKED:
        code, body = await ask(path, verb)
        assert code == 403, path
        assert asked.pop() == ("read" if verb == "GET" else "write", "gpumodels")
        if path != "api/feed":
            assert "not authorized" in json.loads(body)["message"]


async def test_an_authorizer_that_allows_reading_only_is_obeyed(ask, jp_fetch, jp_serverapp, monkeypatch):
    monkeypatch.setattr(
        type(jp_serverapp.authorizer), "is_authorized", lambda self, handler, user, action, resource: action == "read"
    )
    assert json.loads((await jp_fetch("gpumodels", "api", "models")).body)["models"]
    for path, verb in ASKED:
        if verb != "GET":
            assert (await ask(path, verb))[0] == 403
