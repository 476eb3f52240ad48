"""Loading, cancelling, dismissing and waking by REST, with real models and real kernels."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from tornado.httpclient import HTTPClientError

import gpumodels
from gpumodels.instances import list_loads, running, sleeping
from gpumodels.jupyter.kernels import Kernels
from tests.leftovers import until

SLOW = """
import os, time

class Model:
    def load(self, device):
        while not os.path.exists({go!r}):
            time.sleep(0.02)

    def predict(self, value):
        return value
"""


@pytest.fixture
def jp_server_config(runtime_path):
    return {"ServerApp": {"jpserver_extensions": {"gpumodels": True}, "allow_unauthenticated_access": False}}


@pytest.fixture
def slow(tmp_path):
    """A model folder. The model's load waits until there is a file `go` beside the folder."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "slow"')
    (folder / "model.py").write_text(SLOW.format(go=str(tmp_path / "go")))
    return folder


@pytest.fixture
def api(jp_fetch):
    async def ask(verb, *parts, body=None):
        """Return the status and the JSON of a request, also if it is refused."""
        body = json.dumps(body) if isinstance(body, dict) else body
        body = body if body is not None or verb != "POST" else ""
        try:
            response = await jp_fetch("gpumodels", "api", *parts, method=verb, body=body)
        except HTTPClientError as refused:
            response = refused.response
        return response.code, json.loads(response.body) if response.body else None

    return ask


async def wait_for(condition):
    return await asyncio.to_thread(until, condition, 60)


async def test_a_model_that_the_server_loads_belongs_to_the_server(api, slow, tmp_path):
    code, begun = await api("POST", "models", body={"model": str(slow), "engine": "fake", "gpu": "none"})
    assert code == 202
    _, answer = await api("GET", "loads")
    assert [(each["id"], each["model"], each["failed"]) for each in answer["loads"]] == [(begun["load"], "slow", "")]
    (tmp_path / "go").touch()
    await wait_for(lambda: not list_loads())
    _, answer = await api("GET", "models")
    (model,) = answer["models"]
    assert (model["name"], model["pid"], model["notebook"], model["state"]) == ("slow", os.getpid(), "", "ready")
    assert await asyncio.to_thread(gpumodels.attach("slow"), 7) == 7
    assert (await api("DELETE", "models", model["id"]))[0] == 204
    assert running() == []


async def test_a_load_of_the_server_is_cancelled_and_nothing_is_left(api, slow, leftovers):
    _, begun = await api("POST", "models", body={"model": str(slow), "engine": "fake", "gpu": "none"})
    assert (await api("DELETE", "loads", begun["load"]))[0] == 202
    async with asyncio.timeout(60):
        while (code := (await api("DELETE", "loads", begun["load"]))[0]) == 202:  # noqa: ASYNC110  it ends soon
            await asyncio.sleep(0.05)
    assert code == 404
    assert (list_loads(), running(), leftovers.directories()) == ([], [], [])


async def test_a_load_of_another_process_cannot_be_cancelled_here(api, slow, puppet):
    other = puppet()
    other.tell(f"import gpumodels; gpumodels.load({str(slow)!r}, engine='fake', gpu='none')")
    (load,) = await wait_for(list_loads)
    code, answer = await api("DELETE", "loads", load.id)
    assert (code, answer["message"]) == (409, f"slow is loaded by process {other.pid}: interrupt it there")
    assert [each.id for each in list_loads()] == [load.id]


async def test_a_load_that_failed_stays_until_it_is_dismissed(api, slow):
    (slow / "model.py").write_text("raise RuntimeError('no such luck')")
    _, begun = await api("POST", "models", body={"model": str(slow), "engine": "fake", "gpu": "none"})
    await wait_for(lambda: list_loads() and list_loads()[0].failed)
    _, answer = await api("GET", "loads")
    assert "no such luck" in json.dumps(answer["loads"][0])
    assert (await api("DELETE", "loads", begun["load"]))[0] == 204
    assert (await api("GET", "loads"))[1] == {"loads": []}
    assert (await api("DELETE", "loads", begun["load"]))[0] == 404


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", pytest.param("[" * 60_000, id="deep"),
     pytest.param('{"model": "' + "x" * 70_000 + '"}', id="long"),
     b"\xff", '{"model": ""}', '{"model": 1}', "{}", '{"model": "echo", "gpus": "0"}',
     '{"model": "echo", "share": "yes"}', '{"model": "echo", "replicas": 0}', '{"model": "echo", "serve": "[::1]:0"}',
     '{"model": "echo", "idle": "soon"}', '{"model": "echo", "memory": "50%"}', '{"model": "echo", "engine": "%s"}'],
)  # fmt: skip
async def test_a_malformed_request_begins_no_load(body, api):
    code, answer = await api("POST", "models", body=body)
    assert (code in (400, 413, 503), bool(answer["message"])) == (True, True)
    assert "Unhandled" not in answer["message"]
    assert list_loads() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "echo: timeout must be a number of seconds above 0, not 0."),
        ({"timeout": "soon"}, "echo: timeout must be a time such as '90s', '10m' or '2h', or 'never', not 'soon'."),
        ({"timeout": None}, "timeout: None is not of type 'string', 'number'"),
        ({"env": {"A=B": "1"}}, "echo: 'A=B': '1' is no environment setting; both must be text."),
        ({"env": {"CUDA_VISIBLE_DEVICES": "1"}}, "echo: env: CUDA_VISIBLE_DEVICES is set by gpumodels itself."),
        ({"env": {"A": 1}}, "env.A: 1 is not of type 'string'"),
        ({"evict": "yes"}, "evict: 'yes' is not of type 'boolean'"),
        ({"cache": 0}, "cache: 0 is not of type 'boolean'"),
        ({"serve": "127.0.0.1:0"}, "Additional properties are not allowed ('serve' was unexpected)"),
        ({"replicas": 2, "keep": "2h"},
         "echo: replicas are this notebook's own, so they do not go with keep: leave one of the two out."),
    ],
)  # fmt: skip
async def test_an_invalid_option_is_answered_with_one_sentence(options, message, api):
    assert await api("POST", "models", body={"model": "echo", **options}) == (400, {"message": message})
    assert list_loads() == []


async def test_a_load_takes_every_option(api, slow, tmp_path):
    (slow / "model.py").write_text("import os\nraise RuntimeError(os.environ['WHY'])")
    more = {"timeout": "1m", "env": {"WHY": "no such luck"}, "evict": True, "cache": False, "memory": "4GiB"}
    times = {"share": True, "keep": 60, "idle": 30.5}
    code, _ = await api("POST", "models", body={"model": str(slow), "engine": "fake", "gpu": "none", **more, **times})
    assert code == 202
    await wait_for(lambda: list_loads() and list_loads()[0].failed)
    _, answer = await api("GET", "loads")
    (failed,) = answer["loads"]
    assert "no such luck" in json.dumps(failed)
    # The line has the options of the load, without the environment settings, which may be secret.
    assert failed["line"] == (
        f"%load_model {slow} --gpu none --engine fake --timeout 1m --share --keep 60 --idle 30.5 --evict --memory 4GiB"
        " --no-cache"
    )


async def test_an_unknown_model_is_404_and_leaves_no_failed_load(api):
    code, answer = await api("POST", "models", body={"model": "ehco"})
    assert code == 404
    assert "did you mean" in answer["message"]
    assert list_loads() == []


LOAD_AND_SLEEP = "import gpumodels; model = gpumodels.load('echo', engine='fake', gpu='none'); model.sleep()"


async def test_a_model_that_sleeps_in_a_notebook_is_woken_and_stopped_there_also_while_a_cell_runs(api, jp_serverapp):
    session = await jp_serverapp.session_manager.create_session(
        path="signs.ipynb", type="notebook", kernel_name="python3"
    )
    kernel_id = session["kernel"]["id"]
    client = jp_serverapp.kernel_manager.get_kernel(kernel_id).client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    kernels = Kernels(jp_serverapp.kernel_manager, jp_serverapp.session_manager)
    assert await kernels.run(kernel_id, LOAD_AND_SLEEP, within=60)
    (sleeper,) = sleeping()
    _, state = await api("GET", "state")
    answer = state["models"][sleeper.record.id]
    assert (answer["state"], answer["notebook"], answer["can_wake"]) == ("asleep", "signs.ipynb", True)
    assert (await api("POST", "models", sleeper.record.id, "wake")) == (202, {"waits": False})
    (awake,) = await wait_for(lambda: [each for each in running() if each.state == "ready"])

    assert await kernels.run(kernel_id, "model.sleep()", within=60)
    client.execute("import time; time.sleep(3)")
    await asyncio.sleep(0.2)
    assert (await api("POST", "models", awake.id, "wake")) == (202, {"waits": True})
    await wait_for(lambda: [each for each in running() if each.state == "ready"])
    assert (await api("POST", "models", awake.id, "wake"))[0] == 404

    assert await kernels.run(kernel_id, "model.sleep()", within=60)
    (sleeper,) = sleeping()
    assert (await api("DELETE", "models", sleeper.record.id))[0] == 204
    assert sleeping() == []
    client.stop_channels()


async def test_a_model_of_another_program_is_not_woken_from_here(api, puppet):
    other = puppet()
    other.do(LOAD_AND_SLEEP)
    (sleeper,) = sleeping()
    code, answer = await api("POST", "models", sleeper.record.id, "wake")
    assert (code, "did not start" in answer["message"]) == (409, True)
    assert (await api("DELETE", "models", sleeper.record.id))[0] == 409
    assert not (await api("GET", "state"))[1]["models"][sleeper.record.id]["can_wake"]


async def test_the_owner_of_a_shared_model_is_a_process_that_still_uses_it(api, puppet):
    first, second = puppet(), puppet()
    for each in (first, second):
        each.do("import gpumodels; echo = gpumodels.load('echo', engine='fake', gpu='none', share=True)")

    async def owner_and_users():
        await asyncio.sleep(1)  # a state is reused for a second
        (model,) = (await api("GET", "state"))[1]["models"].values()
        return model["pid"], {each["pid"] for each in model["holders"]}

    assert await owner_and_users() == (first.pid, {first.pid, second.pid})
    first.kill()
    assert await owner_and_users() == (second.pid, {second.pid})


@pytest.mark.parametrize("parts", [("models", "..", "wake"), ("models", "a%b", "wake"), ("loads", ".hidden")])
async def test_a_malformed_id_is_refused(parts, api):
    code, answer = await api("POST" if parts[0] == "models" else "DELETE", *parts)
    assert (code, "that is not the id" in answer["message"]) == (400, True)
