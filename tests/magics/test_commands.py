"""The magics %models, %stop_model, %model_logs and %gpus."""

from __future__ import annotations

import re
import time

import pytest

import gpumodels
from gpumodels import Usage
from gpumodels.instances import ModelView, Overview, list_loads
from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.loading.journal import LoadJournal
from gpumodels.magics.listing import Listing
from gpumodels.model import NullReport
from tests.leftovers import until
from tests.magics.conftest import ECHO


def test_models_lists_running_models(shell, capsys):
    shell.run_cell(f"{ECHO};")
    shell.run_cell("%models")
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["model", "device", "engine", "state", "notebook", "since"]
    assert row.split()[:6] == ["echo", "CPU", "fake", "ready", "this", "notebook"]


def test_models_says_that_no_model_runs(shell, capsys):
    shell.run_cell("%models")
    assert capsys.readouterr().out == "No model is running.\n"


def test_this_notebooks_models_come_first_and_names_are_escaped():
    other = InstanceRecord("a", "ctpn", "docker", Owner(1, "", "<b>.ipynb"), time.time() - 10**6)
    mine = InstanceRecord("b", "echo", "process", Owner(2), time.time())
    listing = Listing(Overview("", (ModelView(other), ModelView(mine)), (), Usage(0.0, ())), Owner(2))
    rows = repr(listing).splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["echo", "ctpn"]
    assert "&lt;b&gt;.ipynb" in listing._repr_html_()
    assert "<b>" not in listing._repr_html_()


def test_models_lists_loads_and_sleeping_models_of_other_processes(shell, capsys, puppet):
    other = puppet()
    other.do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none'); _ = m.sleep()")
    journal = LoadJournal(NullReport(), "ctpn", "%load_model ctpn")

    def load():
        journal.begin("ctpn")
        journal.progress("fetching weights", 0.5)
        until(lambda: list_loads()[0].text)
        shell.run_cell("%models")

    journal.run(load)
    heading, mine, slept = capsys.readouterr().out.splitlines()
    assert mine.split() == ["ctpn", "fetching", "weights", "(50%)", "this", "notebook", mine.split()[-1]]
    assert re.fullmatch(rf"echo +CPU +fake +asleep since \d\d:\d\d +process {other.pid} +\d\d:\d\d", slept)
    assert heading.index("state") == mine.index("fetching") == slept.index("asleep")


def test_stop_model_without_a_name_stops_the_only_model(shell, capsys):
    shell.run_cell(f"{ECHO};")
    shell.run_cell("%stop_model").raise_error()
    assert capsys.readouterr().out == "stopped echo\n"
    with pytest.raises(gpumodels.ModelStopped, match="stopped from this notebook at"):
        shell.user_ns["echo"](1)


def test_stop_model_needs_a_name_among_several(shell, capsys):
    shell.run_cell(f"{ECHO};\n{ECHO} --as other;")
    result = shell.run_cell("%stop_model")
    assert isinstance(result.error_in_exec, gpumodels.ModelNotFound)
    shell.run_cell("%stop_model other").raise_error()
    assert shell.user_ns["echo"].alive
    assert not shell.user_ns["other"].alive


def test_stop_model_all(shell, capsys):
    shell.run_cell(f"{ECHO};\n{ECHO} --as other;")
    shell.run_cell("%stop_model --all").raise_error()
    assert capsys.readouterr().out == "stopped echo, echo\n"
    assert gpumodels.running() == []
    shell.run_cell("%stop_model --all").raise_error()
    assert capsys.readouterr().out == "nothing was running\n"


@pytest.mark.parametrize("code", ["%stop_model ctpn", "%model_logs ctpn", "%stop_model", "%model_logs"])
def test_a_model_that_does_not_run_is_refused(shell, code, capsys):
    result = shell.run_cell(code)
    assert isinstance(result.error_in_exec, gpumodels.ModelNotFound)


def test_model_logs_shows_what_the_model_printed(shell, capsys):
    shell.run_cell(f"{ECHO};")

    def printed():
        shell.run_cell("%model_logs echo").raise_error()
        return "echo: load on cpu" in capsys.readouterr().out

    until(printed)  # the output of a model server takes a while to reach its log


def test_model_logs_shows_the_last_lines_of_a_model_that_died(shell, capsys):
    shell.run_cell(ECHO)
    shell.run_cell("echo(1, crash='exit')")
    capsys.readouterr()
    shell.run_cell("%model_logs echo").raise_error()
    assert "echo: load on cpu" in capsys.readouterr().out


def test_gpus_lists_the_gpus_or_the_reason_why_there_is_none(shell, capsys):
    shell.run_cell("%gpus").raise_error()
    assert "GPU" in capsys.readouterr().out


def test_the_dashboard_is_text_in_a_terminal(shell, capsys):
    shell.run_cell(f"{ECHO};\n%gpu_dashboard").raise_error()
    shown = capsys.readouterr().out
    assert "GPU" in shown
    assert "echo" in shown


def test_a_semicolon_suppresses_the_output(shell, capsys):
    shell.run_cell(f"{ECHO};").raise_error()
    shell.run_cell("%models ;\n%gpus ;\n%gpu_dashboard ;\n%stop_model ;").raise_error()
    assert capsys.readouterr().out == ""
