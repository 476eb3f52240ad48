"""The commands `ps`, `stop` and `logs`, for models that other processes hold."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

import gpumodels
from gpumodels.errors import ModelStopped
from gpumodels.instances import list_loads
from gpumodels.lease import processes
from gpumodels.loading.journal import LoadJournal
from gpumodels.model import NullReport
from tests.fakes.nvml import GB, gpu, machine
from tests.leftovers import until


@pytest.fixture(params=["docker", "process", "fake"])
def model(request):
    with gpumodels.load("echo", gpu="none", engine=request.param) as loaded:
        yield loaded


def test_models_are_listed_with_owner_engine_and_state(cli, model):
    headings, line = cli("ps").ok().splitlines()
    assert headings.split()[:5] == ["id", "model", "notebook", "engine", "device"]
    assert line.startswith(f"{model.record.id}  echo   ")
    assert f"  {model.record.engine} " in line
    assert "  CPU " in line
    assert "  ready " in line


def test_ps_prints_json(cli, model):
    (listed,) = json.loads(cli("ps", "--json").ok())
    assert (listed["id"], listed["model"], listed["state"]) == (model.record.id, "echo", "ready")
    assert (listed["engine"], listed["device"], listed["gpus"]) == (model.record.engine, "CPU", [])
    assert listed["memory"] is None
    assert listed["owner"]["pid"] == os.getpid()
    assert [holder["pid"] for holder in listed["holders"]] == [os.getpid()]
    assert listed["kept"] is None


def test_idle_time_counts_from_the_last_call_of_any_process(cli, model):
    model(1)
    called = time.time()
    (listed,) = json.loads(cli("ps", "--json").ok())
    assert 0 <= listed["idle"] <= time.time() - called + 0.1


def test_a_model_server_that_does_not_answer_is_listed_all_the_same(cli, echo):
    server = _server(echo.record.id)
    os.kill(server, signal.SIGSTOP)
    try:
        assert "  ?  " in cli("ps").ok()
        assert json.loads(cli("ps", "--json").ok())[0]["idle"] is None
    finally:
        os.kill(server, signal.SIGCONT)


def _server(instance_id):
    """Return the process id of an instance's model server."""

    def command(pid):
        return Path(f"/proc/{pid}/cmdline").read_bytes()

    return next(pid for pid in processes.of_instance(instance_id) if b"gpumodels.lease.leash" not in command(pid))


def test_a_model_that_loads_is_listed_as_loading(cli, begin):
    begin("run", "echo", "--engine", "fake", "--gpu", "none", "--env", "ECHO_LOAD=sleep:30")
    listed = until(lambda: json.loads(cli("ps", "--json").ok()), within=30)
    assert (listed[0]["state"], listed[0]["idle"]) == ("loading", None)
    until(lambda: json.loads(cli("ps", "--json").ok())[0]["progress"]["text"].startswith("loading echo"))


def test_a_load_that_has_no_instance_yet_is_listed_with_its_progress(cli):
    journal = LoadJournal(NullReport(), "ctpn", "%load_model ctpn")

    def load():
        journal.begin("ctpn")
        journal.progress("building ctpn: step 3 of 9", 0.3)
        until(lambda: list_loads()[0].text)
        return json.loads(cli("ps", "--json").ok()), cli("ps").ok()

    (listed,), table = journal.run(load)
    assert (listed["id"], listed["model"], listed["state"], listed["owner"]["pid"]) == (
        "",
        "ctpn",
        "loading",
        os.getpid(),
    )
    assert listed["progress"] == {"text": "building ctpn: step 3 of 9", "fraction": 0.3}
    assert "  building ctpn: step 3 of 9 (30%)  " in table
    assert json.loads(cli("ps", "--json").ok()) == []


def test_a_sleeping_model_is_listed_with_its_time_and_owner(cli, echo):
    echo.sleep()
    (listed,) = json.loads(cli("ps", "--json").ok())
    assert (listed["id"], listed["state"], listed["owner"]["pid"]) == (echo.record.id, "asleep", os.getpid())
    assert (listed["asleep"]["freed"], listed["idle"], listed["memory"], listed["progress"]) == (None, None, None, None)
    assert time.time() - 60 < datetime.fromisoformat(listed["asleep"]["since"]).timestamp() <= time.time()
    assert re.search(r"  asleep since \d\d:\d\d  ", cli("ps").ok())
    assert "No model 'echo' runs" in cli("stop", "echo").err


def test_a_kept_model_is_listed_as_kept_without_its_keeper(cli, held):
    held("echo", "--keep", "2h")
    (listed,) = json.loads(cli("ps", "--json").ok())
    assert listed["kept"] == {"seconds": 7200, "since": None}
    assert [holder["pid"] for holder in listed["holders"]] == [listed["owner"]["pid"]]
    assert "for 2 h" in cli("ps").ok()
    cli("stop", "--all").ok()


def test_gpu_memory_is_listed_and_what_a_stop_freed_is_measured(cli, begin, tmp_path):
    there = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB))
    run = begin("run", "echo", "--engine", "fake", "--gpu", "0", env=there.environment())
    found = run.read_until("is ready on GPU 0").partition("(")[2].partition(")")[0]
    there.hold(_server(found), 3 * GB)
    (listed,) = json.loads(cli("ps", "--json", env=there.environment()).ok())
    assert listed["memory"] == 3 * GB
    assert listed["gpus"] == [{"uuid": there.description["gpus"][0]["uuid"], "index": 0, "name": "NVIDIA H100"}]
    assert "  3.0 GB  " in cli("ps", env=there.environment()).ok()
    assert cli("stop", "echo", env=there.environment()).ok() == f"stopped echo ({found}), 3.0 GB on GPU 0 freed\n"


def test_ps_says_that_no_model_runs(cli):
    assert cli("ps").ok() == "No model is running.\n"
    assert json.loads(cli("ps", "--json").ok()) == []


def test_a_stopped_model_says_who_stopped_it(cli, model):
    assert cli("stop", "echo").ok() == f"stopped echo ({model.record.id}), CPU\n"
    with pytest.raises(ModelStopped, match=r"stopped from the command line at \d\d:\d\d"):
        model(1)


@pytest.mark.parametrize("wanted", [lambda i: i, lambda i: i[:8], lambda _: "echo"], ids=["id", "prefix", "name"])
def test_a_model_is_named_by_its_id_the_start_of_it_or_its_name(cli, echo, wanted):
    assert echo.record.id in cli("stop", wanted(echo.record.id)).ok()


def test_an_ambiguous_name_stops_nothing_and_lists_the_ids(cli, echo, held):
    other = held()
    said = cli("stop", "echo").refused()
    assert said.startswith("'echo' may be ")
    assert echo.record.id in said
    assert other in said
    assert cli("stop", other).ok() == f"stopped echo ({other}), CPU\n"
    assert echo(1) == 1


def test_all_stops_all(cli, echo, held):
    held()
    assert cli("stop", "--all").ok().count("stopped echo") == 2
    assert cli("stop", "--all").ok() == "nothing was running\n"
    assert not echo.alive


def test_an_unknown_name_is_refused_with_a_list_of_what_runs(cli, echo):
    assert cli("stop", "ctpn").refused() == f"No model 'ctpn' runs. Running: {echo.record.id} ({_whose(echo)})."
    assert cli("stop", "").refused().startswith("No model '' runs.")


def _whose(model):
    return model.record.owner.notebook or f"process {model.record.owner.pid}"


@pytest.mark.parametrize("words", [["stop"], ["stop", "echo", "--all"]])
def test_stop_needs_either_names_or_all(cli, words):
    assert "give the id or name of a model, or --all" in cli(*words).refused(2)


def test_the_last_lines_of_a_log(cli, model):
    first, second = cli("logs", "echo").ok().splitlines()[:2]
    assert first == "echo: load on cpu"
    assert second.startswith("gpumodels: echo is ready after ")
    assert cli("logs", model.record.id, "-n", "1").ok() == f"{second}\n"
    assert cli("logs", "echo", "-n", "0").ok() == ""


def test_following_ends_with_the_model(begin, model):
    following = begin("logs", "-f", "echo")
    following.read_until("is ready after")
    model.stop()
    assert following.end()[0] == 0


def test_ctrl_c_ends_following_and_not_the_model(begin, echo):
    following = begin("logs", "-f", "echo")
    following.read_until("is ready after")
    assert following.end(signal.SIGINT)[0] == 130
    assert echo(1) == 1


def test_the_log_of_a_model_that_died_is_there_while_its_holder_cannot_notice(cli, begin):
    run = begin("run", "echo", "--engine", "fake", "--gpu", "none")
    run.read_until("Ctrl-C ends it.")
    (record,) = gpumodels.running()
    run.process.send_signal(signal.SIGSTOP)
    try:
        os.kill(record.engine_ref["pid"], signal.SIGKILL)
        until(lambda: cli("ps").ok() == "No model is running.\n")
        assert "echo: load on cpu" in cli("logs", "echo").ok()
    finally:
        run.process.send_signal(signal.SIGCONT)


def test_logs_of_a_model_that_never_ran_are_refused(cli):
    assert cli("logs", "echo").refused() == "No model 'echo' runs. Nothing runs."
