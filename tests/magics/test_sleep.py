"""Sleeping, shared and kept models in a notebook."""

from __future__ import annotations

import re
import threading
import time

import pytest
from IPython.core.error import UsageError

from tests.magics.conftest import ECHO, left, wait_until


def test_sleep_model_prints_the_time_and_models_lists_it(kernel):
    kernel.ok(f"{ECHO};")
    assert re.fullmatch(r"echo is asleep since \d\d:\d\d\n", kernel.ok("%sleep_model").stream)
    assert re.search(r"echo +CPU +fake +asleep since \d\d:\d\d +this notebook", kernel.ok("%models").shown[0])
    assert "asleep since" in kernel.ok("echo").result


def test_a_call_wakes_the_model_and_shows_that_in_its_cell(kernel):
    kernel.ok(f"{ECHO};")
    kernel.ok("%sleep_model echo;")
    ran = kernel.ok("echo(1)")
    assert ran.result == "1"
    (shown,) = ran.shown
    assert re.fullmatch(r"echo is awake again on CPU, in \d\.\d s", shown)
    assert ran.states[0] == "starting echo"


def test_a_map_wakes_the_model_and_shows_that_once(kernel):
    kernel.ok(f"{ECHO};")
    kernel.ok("echo.sleep();")
    ran = kernel.ok("list(echo.map(range(6)))")
    assert ran.result == "[0, 1, 2, 3, 4, 5]"
    assert len(ran.shown) == 1


def test_loading_a_sleeping_model_wakes_it_and_prints_one_line(kernel):
    kernel.ok(f"{ECHO};")
    kernel.ok("%sleep_model ;")
    ran = kernel.ok(ECHO)
    (line,) = ran.shown
    assert line.startswith(("echo was ready on CPU", "echo is awake again on CPU"))
    assert kernel.ok("echo(1)").shown == []


@pytest.mark.parametrize(
    "call", ["echo(1)", "echo.submit(1).result()", "list(echo.map([1, 2]))", "await echo.acall(1)"]
)
def test_the_stop_button_during_a_wake_leaves_the_model_asleep_and_nothing_half_started(kernel, runtime, call):
    kernel.ok(f"{ECHO} --env ECHO_LOAD=sleep:2 ;")
    kernel.ok("%sleep_model ;")
    pressed = threading.Event()

    def press(text):
        if text.startswith("loading") and not pressed.is_set():
            pressed.set()
            kernel.interrupt()

    ran = kernel.run(call, press)
    assert pressed.is_set()
    assert ran.status == "error"
    wait_until(lambda: not left(runtime), lambda: f"nothing is left, but there is {left(runtime)}")
    assert kernel.ok("echo.asleep").result == "True"
    assert kernel.ok("echo(2)").result == "2"


def test_a_wake_that_fails_is_one_line(kernel, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "tiny"\n')
    code = "class Model:\n    def load(self, device): pass\n    def predict(self): return 1\n"
    (folder / "model.py").write_text(code)
    kernel.ok(f"%load_model {folder} --engine fake --gpu none;")
    kernel.ok("%sleep_model ;")
    (folder / "model.py").write_text(code.replace("pass", "raise RuntimeError('no weights')"))
    ran = kernel.run("tiny()")
    assert ran.error == "LoadFailed"
    assert ran.shown == ["tiny was not woken, it sleeps on"]
    assert kernel.ok("tiny.asleep").result == "True"
    (folder / "model.py").write_text(code)
    assert kernel.ok("tiny()").result == "1"


def test_an_idle_model_is_shown_asleep_in_the_notebook(kernel):
    kernel.ok(f"{ECHO} --idle 1s;")
    time.sleep(2)
    wait_until(lambda: "asleep since" in kernel.ok("%models").shown[0], lambda: "it sleeps")
    assert re.fullmatch(r"stopped echo\n", kernel.ok("%stop_model").stream)


def test_invalid_options_are_refused(shell):
    for options in ("--idle soon", "--keep 0", "--idle", "--keep -5m"):
        result = shell.run_cell(f"{ECHO} {options}")
        error = result.error_in_exec
        assert isinstance(error, UsageError) or type(error).__name__ == "LoadRefused", options
    assert "echo" not in shell.user_ns


def test_sleeping_an_unknown_model_is_refused(shell):
    assert "Nothing runs here" in str(shell.run_cell("%sleep_model").error_in_exec)
    shell.run_cell(f"{ECHO};")
    assert "Running here: echo" in str(shell.run_cell("%sleep_model other").error_in_exec)


def test_sleep_model_all_puts_all_models_to_sleep(shell, capsys):
    shell.run_cell(f"{ECHO} --as a;")
    shell.run_cell(f"{ECHO} --as b;")
    shell.run_cell("%sleep_model --all")
    assert capsys.readouterr().out.count("echo is asleep since") == 2
    shell.run_cell("%stop_model --all")


def test_a_notice_suggests_sharing_a_model_of_another_notebook(shell, puppet, capsys):
    puppet().do("import gpumodels; m = gpumodels.load('echo', engine='fake', gpu='none')")
    shell.run_cell(ECHO)
    assert "another notebook runs this model; --share would use that one" in capsys.readouterr().out
    shell.run_cell(f"{ECHO} --share --as shared")
    assert shell.user_ns["shared"](1) == 1
