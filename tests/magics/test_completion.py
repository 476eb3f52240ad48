"""Completion in a real kernel, with jedi on, by the messages that JupyterLab sends."""

from __future__ import annotations

import pytest

from tests.magics.conftest import ECHO


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """One kernel for all tests, because completion changes nothing."""
    from tests.magics.conftest import started

    path = tmp_path_factory.mktemp("completion")
    for folder in ("photos", "my_model"):
        (path / folder).mkdir()
    (path / "my_model" / "model.toml").write_text('name = "my_model"\n')
    with started(path, GPUMODELS_RUNTIME_DIR=str(path / "runtime")) as kernel:
        yield kernel


def test_names(tab):
    assert tab.complete("%load_model ct") == ["%load_model ctpn"]


def test_names_in_an_assignment(tab):
    assert tab.complete("m = %load_model ct") == ["m = %load_model ctpn"]


def test_names_without_the_percent_sign(tab):
    assert tab.complete("load_model ec") == ["load_model echo"]


def test_all_names_are_offered_if_nothing_is_typed(tab):
    assert {"%load_model ctpn", "%load_model echo"} <= set(tab.complete("%load_model "))


def test_names_after_options(tab):
    assert tab.complete("%load_model --gpu 0 ct") == ["%load_model --gpu 0 ctpn"]


def test_on_a_later_line(tab):
    assert tab.complete("x = 1\n%load_model ct") == ["x = 1\n%load_model ctpn"]


def test_options(tab):
    options = ("--engine", "--env", "--evict")
    assert tab.complete("%load_model ctpn --e") == [f"%load_model ctpn {option}" for option in options]


def test_an_option_is_not_offered_twice(tab):
    assert tab.complete("%load_model ctpn --engine docker --en") == ["%load_model ctpn --engine docker --env"]


def test_engines(tab):
    assert tab.complete("%load_model ctpn --engine d") == ["%load_model ctpn --engine docker"]


def test_gpus(tab):
    assert tab.complete("%load_model ctpn --gpu n") == ["%load_model ctpn --gpu none"]


def test_model_folders_by_path(tab):
    assert tab.complete("%load_model ./my") == ["%load_model ./my_model"]
    assert tab.complete("m = %load_model ./ph") == ["m = %load_model ./photos/"]


def test_no_completion_for_a_new_variable(tab):
    assert tab.complete("%load_model ctpn --as ec") == []


def test_no_completion_while_settings_are_wrong(tab):
    tab.ok("import os; os.environ['GPUMODELS_IDLE'] = 'soon'")
    assert tab.complete("%load_model ec") == []
    tab.ok("del os.environ['GPUMODELS_IDLE']")
    assert tab.complete("%load_model ec") == ["%load_model echo"]


def test_running_models_after_stop_model(tab):
    tab.ok(f"{ECHO};")
    assert tab.complete("%stop_model ") == ["%stop_model echo"]
    assert tab.complete("%stop_model --a") == ["%stop_model --all"]
    assert tab.complete("%model_logs e") == ["%model_logs echo"]


def test_the_magics_themselves(tab):
    assert tab.complete("%load_mod") == ["%load_model"]


def test_python_completion_is_untouched(tab):
    assert "import os\nos.path" in tab.complete("import os\nos.pat")
