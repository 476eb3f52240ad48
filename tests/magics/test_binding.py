"""The variables that a loaded model is bound to."""

from __future__ import annotations

import pytest

import gpumodels
from gpumodels.magics.binding import identifier
from gpumodels.model import Model
from tests.magics.conftest import ECHO


def test_name_and_model_are_bound_when_free(shell, capsys):
    shell.run_cell(f"m = {ECHO}")
    assert shell.user_ns["echo"] is shell.user_ns["model"] is shell.user_ns["m"]
    assert isinstance(shell.user_ns["m"], Model)


def test_a_load_ends_with_one_line_and_shows_no_handle(shell, capsys):
    shell.run_cell(ECHO)
    out = capsys.readouterr().out
    assert out.startswith("echo ready on CPU, fake engine, in ")
    assert out.endswith(" s, as echo and model\n")
    assert out.count("echo") == 2
    shell.run_cell("model")
    assert "<Model echo on CPU, fake, ready>" in capsys.readouterr().out, "the cell's own result is shown"


def test_a_variable_of_the_user_is_not_overwritten(shell, capsys):
    shell.run_cell("model = 'mine'")
    shell.run_cell(ECHO)
    assert shell.user_ns["model"] == "mine"
    assert isinstance(shell.user_ns["echo"], Model)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(", as echo")
    assert lines[1] == "not bound to model: in use for something else (`--as NAME` binds another name)"


def test_a_handle_is_replaced_also_a_stopped_one(shell):
    shell.run_cell(ECHO)
    before = shell.user_ns["echo"]
    shell.run_cell("%stop_model")
    shell.run_cell(ECHO)
    assert shell.user_ns["echo"] is shell.user_ns["model"] is not before
    assert shell.user_ns["echo"].alive


def test_as_binds_only_that_variable_and_overwrites_it(shell):
    shell.run_cell("x = 1")
    shell.run_cell(f"{ECHO} --as x").raise_error()
    assert isinstance(shell.user_ns["x"], Model)
    assert "echo" not in shell.user_ns
    assert "model" not in shell.user_ns


def test_as_model_does_not_stop_the_model_of_another_variable(shell):
    """Bind a model to `model`, the alias of the model loaded last. That model is not stopped."""
    shell.run_cell(ECHO)
    first = shell.user_ns["echo"]
    shell.run_cell(f"{ECHO} --as model").raise_error()
    assert shell.user_ns["model"] is not first
    assert first.alive


def test_names_of_models_become_identifiers():
    assert identifier("my-model 2.0") == "my_model_2_0"
    assert identifier("3d") == "_3d"
    assert identifier("class") == "_class"
    assert identifier("ctpn") == "ctpn"


def test_a_builtin_is_not_shadowed(shell, tmp_path, capsys):
    folder = tmp_path / "filter"
    gpumodels.catalog.new("filter", tmp_path)
    shell.run_cell(f"%load_model {folder} --engine fake --gpu none").raise_error()
    assert "filter" not in shell.user_ns
    assert "not bound to filter" in capsys.readouterr().out


def test_loading_in_python_binds_nothing(shell):
    shell.run_cell("import gpumodels; gpumodels.load('echo', engine='fake', gpu='none');").raise_error()
    assert "echo" not in shell.user_ns
    assert "model" not in shell.user_ns


def test_nothing_is_bound_by_a_load_that_fails(shell):
    result = shell.run_cell(f"{ECHO} --env ECHO_LOAD=fail")
    assert isinstance(result.error_in_exec, gpumodels.LoadFailed)
    assert "echo" not in shell.user_ns


def test_a_second_model_gets_model_and_the_first_keeps_its_name(shell):
    shell.run_cell(ECHO)
    shell.run_cell(f"{ECHO} --as other")
    first, other = shell.user_ns["echo"], shell.user_ns["other"]
    assert first is not other
    assert first(1) == other(1) == 1


@pytest.mark.parametrize("code", ["del echo, model", "%reset -f"])
def test_deleting_the_variables_does_not_stop_the_model(shell, code):
    shell.run_cell(ECHO)
    handle = shell.user_ns["echo"]
    shell.run_cell(code).raise_error()
    assert handle.alive
    shell.run_cell(ECHO).raise_error()
    assert shell.user_ns["echo"] is handle, "running the cell again finds the model"


def test_running_the_cell_again_keeps_the_model(shell, capsys):
    shell.run_cell(ECHO)
    first = shell.user_ns["echo"]
    shell.run_cell(ECHO)
    assert shell.user_ns["echo"] is first
    assert "echo was ready on CPU, fake engine, as echo and model" in capsys.readouterr().out


def test_loading_with_other_options_replaces_the_model(shell):
    shell.run_cell(ECHO)
    first = shell.user_ns["echo"]
    shell.run_cell(f"{ECHO} --env ECHO_LOAD=sleep:0")
    assert not first.alive
    assert len(gpumodels.running()) == 1
