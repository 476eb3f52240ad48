"""The option `--serve` of `%load_model`."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter

import gpumodels
from tests.magics.conftest import ECHO


def test_the_last_line_has_the_address_and_names_the_variable_with_the_token(shell, capsys):
    shell.run_cell(f"{ECHO} --serve 127.0.0.1:0").raise_error()
    endpoint = shell.user_ns["echo"].endpoint
    shown = capsys.readouterr()
    line = f"echo answers tritonclient at {endpoint.address}; model.endpoint has the token"
    assert line in (shown.out + shown.err).splitlines()
    assert endpoint.token not in shown.out + shown.err


def test_the_last_line_names_the_variable_that_was_bound(shell, capsys):
    shell.run_cell(f"{ECHO} --as mine --serve 127.0.0.1:0").raise_error()
    shown = capsys.readouterr()
    assert "; mine.endpoint has the token" in shown.out + shown.err


def test_running_the_cell_again_keeps_the_model_and_its_token(shell):
    for _ in range(2):
        shell.run_cell(f"{ECHO} --serve localhost:0").raise_error()
        shell.user_ns.setdefault("tokens", set()).add(shell.user_ns["echo"].endpoint.token)
    assert len(shell.user_ns["tokens"]) == 1


def test_an_address_for_everybody_is_refused(shell):
    result = shell.run_cell(f"{ECHO} --serve 0.0.0.0:8001")
    assert isinstance(result.error_in_exec, gpumodels.LoadRefused)
    assert "echo" not in shell.user_ns


@pytest.mark.parametrize(("line", "expected"), [("--serve 127", "127.0.0.1:8001"), ("--se", "--serve")])
def test_the_option_and_addresses_are_completed(shell, line, expected):
    with provisionalcompleter():
        line = f"%load_model echo {line}"
        assert expected in [each.text for each in shell.Completer.completions(line, len(line))]
