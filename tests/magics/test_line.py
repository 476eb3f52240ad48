"""Reading the arguments of a magic."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from gpumodels.magics.arguments import LOAD, STOP, HelpShown
from tests.magics.conftest import ECHO


def test_a_trailing_comment_is_stripped():
    assert LOAD.read("ctpn --gpu 0 # don't mind me --gpu 1").gpu == "0"


def test_a_hash_inside_a_word_or_quotes_is_no_comment():
    read = LOAD.read("./a#b --env 'A=# x' # end")
    assert read.model == "./a#b"
    assert read.env == [("A", "# x")]


def test_a_trailing_semicolon_is_stripped_and_silences():
    read = LOAD.read("ctpn --gpu 0;  # quietly")
    assert (read.model, read.gpu, read.silent) == ("ctpn", "0", True)
    assert not LOAD.read("ctpn --env 'A=b;'").silent


def test_quotes_are_removed():
    assert LOAD.read("'ctpn'").model == "ctpn"
    assert LOAD.read('"./my models/one"').model == "./my models/one"


def test_an_unclosed_quote_is_refused():
    with pytest.raises(UsageError, match="no closing quotation in: 'ctpn"):
        LOAD.read("'ctpn")


def test_help_is_printed_and_nothing_is_loaded(shell, capsys):
    assert shell.run_cell("x = %load_model -h").success
    assert shell.user_ns["x"] is None
    assert "--engine ENGINE" in capsys.readouterr().out
    with pytest.raises(HelpShown):
        LOAD.read("ctpn --help")


def test_no_option_has_an_optional_value():
    for action in LOAD._actions:
        assert action.nargs in (None, 0), action


def test_options_are_not_abbreviated():
    with pytest.raises(UsageError, match="there is no option --eng; did you mean --engine"):
        LOAD.read("ctpn --eng docker")


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match="there is no option --gup; did you mean --gpu"):
        LOAD.read("ctpn --gup=0")


def test_a_word_too_many_is_refused():
    with pytest.raises(UsageError, match=r"%load_model: 'gpu' is one word too many\. `%load_model -h` shows how"):
        LOAD.read("ctpn gpu 0")


def test_a_missing_name_is_refused():
    with pytest.raises(UsageError, match=r"%load_model: .*NAME\|PATH.*%load_model -h"):
        LOAD.read("--gpu 0")


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_a_timeout_is_a_duration(text):
    with pytest.raises(UsageError, match="--timeout: must be a duration such as 90s, 10m, 2h or never, not "):
        LOAD.read(f"ctpn --timeout {text}")


@pytest.mark.parametrize("setting", ["A", "=b"])
def test_a_setting_is_a_name_and_a_value(setting):
    with pytest.raises(UsageError, match="is not of the form NAME=VALUE"):
        LOAD.read(f"ctpn --env {setting}")


def test_env_may_be_repeated():
    assert LOAD.read("ctpn --env A=1 --env 'B=x y=z'").env == [("A", "1"), ("B", "x y=z")]


@pytest.mark.parametrize("name", ["1x", "a-b", "class"])
def test_as_needs_a_valid_variable_name(name):
    with pytest.raises(UsageError, match="cannot be the name of a variable"):
        LOAD.read(f"ctpn --as {name}")


def test_stopping_one_and_all_is_refused():
    with pytest.raises(UsageError, match="not allowed with"):
        STOP.read("ctpn --all")


def test_python_values_expand_also_in_an_assignment(shell, capsys):
    shell.run_cell("name, gpu, engine = 'echo', 'none', 'fake'").raise_error()
    shell.run_cell("m = %load_model {name} --gpu $gpu --engine {engine}").raise_error()
    assert shell.user_ns["m"]("hello") == "hello"


def test_values_are_not_expanded_twice(shell):
    shell.run_cell("value = '{name}'").raise_error()
    shell.run_cell(f"name = 'no'\n{ECHO} --env A={{value}}").raise_error()
    assert dict(shell.user_ns["echo"].origin.request.env) == {"A": "{name}"}


def test_a_local_variable_expands(shell):
    shell.run_cell(f"def go(given):\n    {ECHO} --as $given\ngo('local')").raise_error()
    assert shell.user_ns["local"].name == "echo"


def test_a_usage_error_fails_the_cell_with_one_line(shell, capsys):
    result = shell.run_cell("%load_model echo --gup 0")
    assert type(result.error_in_exec) is UsageError
    assert "Traceback" not in capsys.readouterr().err


def test_a_mistake_can_be_caught_by_its_class(shell, capsys):
    shell.run_cell("from gpumodels import ModelNotFound").raise_error()
    shell.run_cell("try:\n    %load_model ecko\nexcept ModelNotFound as error:\n    caught = str(error)").raise_error()
    assert "did you mean echo" in shell.user_ns["caught"]
