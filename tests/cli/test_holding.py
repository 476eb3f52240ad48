"""The commands `run` and `call`, which hold models, and the removal of these models afterwards."""

from __future__ import annotations

import json
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import COMMAND, FAKE, environment
from tests.leftovers import until

FOLDERS = {
    "shade": """
        import numpy as np
        class Model:
            def load(self, device: str) -> None: pass
            def predict(self, image: np.ndarray) -> np.ndarray:
                return 255 - image
    """,
    "finder": """
        import numpy as np
        class Model:
            def load(self, device: str) -> None: pass
            def predict(self, image: np.ndarray):
                return np.array([[1, 2, 30, 20]], np.float32), np.array([0.1], np.float32)
    """,
    "teller": """
        from collections.abc import Iterator
        class Model:
            def load(self, device: str) -> None: pass
            def predict(self, text: str) -> Iterator[str]:
                yield from text.split()
    """,
}
IMAGE = '[[inputs]]\nname = "image"\ndtype = "uint8"\nshape = ["H", "W", 3]\nkind = "image"\n'
TOML = {
    "shade": f'{IMAGE}[[outputs]]\nname = "image"\ndtype = "uint8"\nshape = ["H", "W", 3]\nkind = "image"\n',
    "finder": f'{IMAGE}[[outputs]]\nname = "boxes"\ndtype = "float32"\nshape = ["N", 4]\nkind = "boxes"\n'
    '[[outputs]]\nname = "scores"\ndtype = "float32"\nshape = ["N"]\nkind = "scores"\n',
    "teller": "",
}


@pytest.fixture
def folder(tmp_path):
    """A function that makes one of the model folders of `FOLDERS` and returns its path: `folder("shade")`."""

    def make(name):
        path = tmp_path / name
        path.mkdir()
        (path / "model.toml").write_text(f'name = "{name}"\n{TOML[name]}')
        lines = FOLDERS[name].splitlines()
        (path / "model.py").write_text("\n".join(line[8:] for line in lines))
        return f"./{name}"

    return make


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((24, 32, 3), 200, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("engine", ["docker", "process"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_run_holds_a_model_until_it_gets_a_signal(begin, cli, engine, how, nothing_left):
    run = begin("run", "echo", "--engine", engine, "--gpu", "none")
    run.read_until("Ctrl-C ends it.")
    assert cli("call", "echo", "5").ok() == "5\n"  # afterwards the model runs on for `gpumodels run`
    status, said = run.end(how)
    assert (status, said.splitlines()[-1][:14]) == (0, "stopped echo (")
    nothing_left()


def test_another_program_attaches_to_it(held, puppet):
    program = puppet()
    program.do(f"import gpumodels; model = gpumodels.attach({held()!r})")
    assert program.do("model(5)") == 5


def test_run_says_how_to_use_the_model(begin):
    run = begin("run", "echo", *FAKE)
    line = run.read_until("gpumodels call")
    assert line.split(maxsplit=1)[1] == "gpumodels call echo <value>\n"
    assert 'model = gpumodels.attach("echo-' in run.read_until("attach")


def test_a_served_model_says_address_and_token(begin):
    run = begin("run", "echo", *FAKE, "--serve", "127.0.0.1:0")
    assert run.read_until("with the token").split()[1].startswith("127.0.0.1:")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_load_that_is_broken_off_leaves_nothing(begin, cli, how, nothing_left):
    run = begin("run", "echo", *FAKE, "--env", "ECHO_LOAD=sleep:60")
    until(lambda: json.loads(cli("ps", "--json").ok()), within=30)
    status, said = run.end(how)
    assert (status, said) == (130, "gpumodels: echo: cancelled, nothing left\n")
    nothing_left()


def test_run_that_is_killed_leaves_nothing(begin, nothing_left):
    run = begin("run", "echo", *FAKE)
    run.read_until("Ctrl-C ends it.")
    run.end(signal.SIGKILL)
    nothing_left()


def test_a_model_that_is_stopped_elsewhere_ends_the_command_well(begin, cli, nothing_left):
    run = begin("run", "echo", *FAKE)
    run.read_until("Ctrl-C ends it.")
    cli("stop", "echo").ok()
    status, said = run.end()
    assert status == 0
    assert "was stopped from the command line at " in said.splitlines()[-1]
    nothing_left()


def test_a_model_that_dies_ends_the_command_with_its_last_lines(begin, cli, nothing_left):
    run = begin("run", "echo", *FAKE)
    run.read_until("Ctrl-C ends it.")
    assert "The model server of echo died" in cli("call", "echo", "1", "crash=exit").err
    status, said = run.end()
    assert status == 1
    assert "gpumodels: The model server of echo died (exit code 9)" in said
    assert "echo: load on cpu" in said
    nothing_left()


def test_an_idle_model_ends_after_the_time_that_was_given(begin, nothing_left):
    run = begin("run", "echo", *FAKE, "--idle", "1s")
    run.read_until("Ctrl-C ends it.")
    status, said = run.end()
    assert status == 0
    assert "echo is asleep since" in said
    nothing_left()


def test_a_kept_model_outlives_the_command(begin, cli):
    run = begin("run", "echo", *FAKE, "--keep", "1h")
    run.read_until("Ctrl-C ends it.")
    status, said = run.end(signal.SIGINT)
    assert status == 0
    assert "is still running, because it is kept or another process uses it" in said
    assert cli("call", "echo", "7").ok() == "7\n"
    assert "stopped echo" in cli("stop", "echo").ok()


def test_call_loads_a_model_for_one_call(cli, nothing_left):
    assert cli("call", "echo", '{"a": [1, 2.5, null]}', *FAKE).ok() == '{"a": [1, 2.5, null]}\n'
    nothing_left()


def test_call_uses_the_model_that_runs_and_leaves_it_running(cli, echo):
    assert cli("call", "echo", "hello there", "sleep=0.01").ok() == '"hello there"\n'
    assert cli("call", echo.record.id[:7], "--", "-2").ok() == "-2\n"
    assert echo(1) == 1


def test_call_does_not_guess_between_two(cli, echo, held):
    other = held()
    said = cli("call", "echo", "1").refused()
    assert echo.record.id in said
    assert other in said


def test_ctrl_c_ends_a_call_and_the_model_that_was_loaded_for_it(begin, cli, nothing_left):
    call = begin("call", "echo", "1", "sleep=60", *FAKE)
    until(lambda: [each for each in json.loads(cli("ps", "--json").ok()) if each["state"] == "ready"], within=30)
    assert call.end(signal.SIGINT)[0] == 130
    nothing_left()


def test_a_picture_goes_in_and_out(cli, folder, picture, tmp_path):
    summary = json.loads(cli("call", folder("shade"), picture, "-o", "out.png", *FAKE).ok())
    assert summary == {"dtype": "uint8", "shape": [24, 32, 3], "min": 55.0, "max": 55.0, "mean": 55.0}
    assert (np.asarray(Image.open(tmp_path / "out.png")) == 55).all()


def test_boxes_are_json_and_drawn(cli, folder, picture, tmp_path):
    out = cli("call", folder("finder"), f"image={picture}", "--draw", "drawn.png", *FAKE).ok()
    assert json.loads(out) == {"boxes": [[1, 2, 30, 20]], "scores": [0.1]}
    assert (np.asarray(Image.open(tmp_path / "drawn.png"))[2, 10] != 200).any()


def test_each_answer_of_a_stream_is_a_line(cli, folder):
    assert cli("call", folder("teller"), "one two three", *FAKE).ok() == '"one"\n"two"\n"three"\n'


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/photo.png"], "shade: image: "),
        ([], "shade takes (image: uint8[H, W, 3])"),
        (["photo.png", "2"], "but 2 inputs were given"),
    ],
)
def test_inputs_that_do_not_fit_are_reported(cli, folder, picture, words, said, nothing_left):
    assert said in cli("call", folder("shade"), *words, *FAKE).refused()
    nothing_left()


@pytest.mark.parametrize(("option", "file", "said"), [
    ("--output", "out.txt", "out.txt: the name must end like that of a picture file, such as .png or .jpg."),
    ("--draw", "no/out.png", "no/out.png: there is no directory no."),
])  # fmt: skip
def test_a_picture_that_cannot_be_saved_is_reported_before_the_load(cli, runtime_path, option, file, said):
    assert cli("call", "echo", "1", option, file, *FAKE).refused() == said
    assert not runtime_path.exists()


def test_an_output_that_is_no_picture_is_not_saved(cli, tmp_path):
    ran = cli("call", "echo", "text", "-o", "out.png", *FAKE)
    assert (ran.status, ran.out) == (1, '"text"\n')
    assert ran.err == "gpumodels: None of the outputs (value) is a picture, so there is nothing to save.\n"
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "ehco"], 1, "no model is called 'ehco'; did you mean echo? "),
        (["run", "echo", "--env", "X"], 2, "'X' is not of the form NAME=VALUE"),
        (["run", "echo", "--timeout", "-1"], 1, "echo: timeout must be a time such as "),
        (["run", "echo", "--idle", "soon"], 1, "echo: idle must be a time such as "),
        (
            ["run", "echo", "--engine", "dokcer", "--gpu", "none"],
            1,
            "There is no engine 'dokcer'; did you mean 'docker'?",
        ),
        (["run", "echo", "--serve", "0.0.0.0:1"], 1, "echo: it cannot be served at 0.0.0.0"),
        (["run"], 2, "missing argument"),
    ],
)
def test_a_mistake_is_one_line(cli, words, status, said):
    assert said in cli(*words).refused(status)


def test_a_model_that_fails_to_load_says_why(cli, nothing_left):
    ran = cli("run", "echo", *FAKE, "--env", "ECHO_LOAD=fail")
    assert (ran.status, ran.out) == (1, "")
    assert "echo was told to fail in load" in ran.err
    nothing_left()


def test_a_terminal_that_is_closed_does_not_end_what_runs_under_nohup(tmp_path, cli):
    script = f"trap '' HUP; exec {' '.join([*COMMAND, 'run', 'echo', *FAKE])}"
    with subprocess.Popen(["sh", "-c", script], env=environment(), cwd=tmp_path, stdout=subprocess.PIPE) as process:
        until(lambda: b"Ctrl-C" in process.stdout.readline(), within=30)
        process.send_signal(signal.SIGHUP)
        assert cli("call", "echo", "3").ok() == "3\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
