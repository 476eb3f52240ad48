"""The output of commands, in a pipe and in a terminal, and the errors of invalid command lines."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time

import pytest

from gpumodels.cli.tables import show
from tests.cli.conftest import COMMAND, environment

COMMANDS = ["ps", "stop", "logs", "run", "call", "models", "gpus", "new", "base-image", "reap", "prune", "doctor"]


def in_terminal(*words, answer="", **settings):
    """Run a command in a terminal. Return its output and its exit status."""
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "200", **settings}
    process = subprocess.Popen(
        [*COMMAND, *words], env=environment(**settings), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    printed = b""
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # Linux raises EIO when the other side is closed
            break
        if not chunk:
            break
        printed += chunk
    os.close(ours)
    return printed.decode(), process.wait(60)


def test_every_command_is_in_the_help_and_has_its_own(cli):
    listed = cli("--help").ok()
    for command in COMMANDS:
        assert f"\n  {command} " in listed
    assert all("..." not in line for line in listed.partition("Commands:")[2].splitlines())
    assert cli("stop", "-h").ok().startswith("Usage: gpumodels stop ")


def test_the_help_is_quick_and_imports_nothing_that_is_not_needed(cli):
    code = (
        "import sys; from gpumodels.cli import main; main(['--help']);"
        "print([name for name in ('numpy', 'grpc', 'docker', 'rich', 'IPython', 'msgspec') if name in sys.modules])"
    )
    ran = subprocess.run([COMMAND[0], "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_without_a_command_the_help_is_shown(cli):
    ran = cli()
    assert ran.status == 2
    assert ran.out.startswith("Usage: gpumodels ")


def test_the_version(cli):
    from gpumodels import __version__

    assert cli("--version").ok() == f"gpumodels {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "no such command 'frobnicate'. `gpumodels --help` shows how it is used."),
        (["stop", "--al"], "no such option: --al (Possible options: --all, --help). `gpumodels stop --help` shows"),
        (["logs"], "missing argument 'ID|NAME'"),
        (["logs", "echo", "-n", "many"], "invalid value for '-n' / '--lines': "),
        (["logs", "echo", "-n", "-1"], "invalid value for '-n' / '--lines': "),
        (["prune", "models"], "'models' is not one of 'images', 'environments', 'weights'"),
    ],
)
def test_an_invalid_command_line_is_reported_in_one_line(cli, words, said):
    assert said in cli(*words).refused(2)


def test_a_table_in_a_pipe_is_plain_text(cli, echo):
    out = cli("ps").ok()
    assert out.isascii()
    assert "\x1b" not in out


def test_a_table_in_a_terminal_is_drawn_and_without_colours_where_none_are_wanted(echo):
    printed, status = in_terminal("ps")
    assert status == 0
    assert echo.record.id in printed
    assert "─" in printed
    printed, _ = in_terminal("ps", NO_COLOR="1")
    assert "\x1b[3" not in printed


def test_names_cannot_steer_the_terminal(capsys):
    show(("name",), [["\x1b[2Jwiped\r"]])
    assert capsys.readouterr().out == "name\n?[2Jwiped?\n"


def test_progress_is_shown_in_a_terminal_alone(tmp_path):
    printed, status = in_terminal("call", "echo", "1", "--engine", "fake", "--gpu", "none")
    assert status == 0
    assert "starting echo" in printed
    assert printed.rstrip().endswith("1")


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    command = " ".join(COMMAND)
    ran = subprocess.run(
        ["bash", "-c", f"{command} --help | true; exit ${{PIPESTATUS[0]}}"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.stderr, ran.returncode) in (("", 0), ("", 1))


def test_a_broken_settings_file_is_one_line_and_does_not_hide_what_runs(cli, tmp_path, echo):
    directory = tmp_path / "config" / "gpumodels"
    directory.mkdir(parents=True)
    (directory / "settings.toml").write_text('engin = "docker"\n')
    assert "did you mean `engine`?" in cli("run", "echo").refused()
    assert echo.record.id in cli("ps").ok()
    assert cli("stop", "echo").ok()


def test_shells_complete_commands_models_and_ids(echo):
    def completed(line):
        words = line.split(" ")
        settings = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_GPUMODELS_COMPLETE": "complete_bash"}
        ran = subprocess.run(COMMAND, env=environment(**settings), capture_output=True, text=True, check=False)
        return ran.stdout.split()

    assert completed("gpumodels do") == ["doctor"]
    assert completed("gpumodels run ct") == ["ctpn"]
    assert completed("gpumodels stop ec") == ["echo", echo.record.id]


def test_ctrl_c_says_nothing(begin, echo):
    following = begin("logs", "-f", "echo")
    following.read_until("echo: load")
    time.sleep(0.1)
    status, said = following.end(signal.SIGINT)
    assert status == 130
    assert "Traceback" not in said
