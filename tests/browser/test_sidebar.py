"""The sidebar in a real JupyterLab, in a real browser, with real models."""

from __future__ import annotations

import json
from pathlib import Path
from queue import Queue

import pytest
from playwright.sync_api import expect

import gpumodels

LOAD = "%load_ext gpumodels\n%load_model echo --engine process --gpu none"
CALL = 'echo("hello")'
LIST = "**/gpumodels/api/models?*"
ONE = "**/gpumodels/api/models/*"


def asker(model: gpumodels.Model) -> str:
    """Who asked for the model, as the sidebar says it."""
    return Path(model.record.owner.notebook).name


def test_a_model_is_seen_stopped_and_gone(open_notebook):
    notebook, sidebar = open_notebook("signs.ipynb", LOAD, CALL, CALL)
    expect(sidebar.region).to_contain_text("%load_model ctpn")

    notebook.run(0)
    model = sidebar.model("echo", "signs.ipynb")
    expect(model).to_contain_text("CPU")
    expect(model).to_contain_text("process")
    expect(model).to_contain_text("since ")
    expect(notebook.run(1)).to_contain_text("hello")

    sidebar.stop_button("echo", "signs.ipynb").click()
    expect(model).to_have_count(0)
    expect(sidebar.region).to_contain_text("No model is running")
    gone = notebook.run(2)
    expect(gone).to_contain_text("ModelStopped")
    expect(gone).to_contain_text("stopped from the sidebar at")


def test_a_model_vanishes_with_its_kernel(open_notebook, page):
    notebook, sidebar = open_notebook("left.ipynb", LOAD)
    notebook.run(0)
    expect(sidebar.model("echo", "left.ipynb")).to_be_visible()
    page.evaluate("jupyterapp.serviceManager.sessions.shutdownAll()")
    expect(sidebar.models).to_have_count(0)


def test_the_keyboard_alone_stops_a_model(sidebar, script_model, page):
    button = sidebar.stop_button("echo", asker(script_model))
    expect(button).to_be_visible()
    expect(sidebar.region).to_be_focused()
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(sidebar.models).to_have_count(0)
    expect(sidebar.region).to_be_focused()
    with pytest.raises(gpumodels.ModelStopped, match="stopped from the sidebar"):
        script_model("hello")


def test_a_stop_that_fails_says_why_and_can_be_tried_again(sidebar, script_model, page):
    button = sidebar.stop_button("echo", asker(script_model))
    asked = Queue()
    page.route(ONE, asked.put)
    button.click()
    expect(sidebar.models).to_contain_text("stopping…")
    expect(button).to_be_disabled()
    asked.get_nowait().fulfill(status=500, body=json.dumps({"message": "Docker does not answer."}))
    expect(sidebar.alert).to_have_text("Not stopped: Docker does not answer.")

    page.unroute(ONE)
    button.click()
    expect(sidebar.models).to_have_count(0)


def test_a_model_that_another_stopped_first_is_no_error(sidebar, script_model, page):
    expect(sidebar.models).to_have_count(1)
    page.route(ONE, lambda route: (script_model.stop(), route.continue_()))
    sidebar.stop_button("echo", asker(script_model)).click()
    expect(sidebar.models).to_have_count(0)
    expect(sidebar.alert).to_have_count(0)


def test_a_server_that_does_not_answer_is_said_until_it_does(sidebar, script_model, page):
    expect(sidebar.models).to_have_count(1)
    page.context.set_offline(True)
    expect(sidebar.alert).to_contain_text("does not answer")
    expect(sidebar.models).to_have_count(0)
    page.context.set_offline(False)
    expect(sidebar.models).to_have_count(1)


def test_a_server_without_the_extension_is_told_how_to_get_it(sidebar, page):
    page.route(LIST, lambda route: route.fulfill(status=404, body="<html>"))
    expect(sidebar.alert).to_contain_text("jupyter server extension enable gpumodels")


def test_a_closed_sidebar_asks_nothing(sidebar, page):
    expect(sidebar.region).to_contain_text("No model is running")
    sidebar.toggle()
    expect(sidebar.region).to_be_hidden()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3000)
    assert not [url for url in asked if "gpumodels/api" in url]
    with page.expect_request(LIST):
        sidebar.toggle()
