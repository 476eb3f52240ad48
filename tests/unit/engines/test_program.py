"""Running another program to its end, and ending it after an interrupt or an error."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

from gpumodels.engines import program


@pytest.fixture
def alarm():
    """A function that sends SIGINT to this process after the given number of seconds.

    The garbage collector is off meanwhile: finalizers and callbacks that it runs would swallow the KeyboardInterrupt.
    """
    gc.disable()
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    gc.enable()


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_the_exit_code_and_the_lines_of_both_streams_are_returned():
    shown: list[str] = []
    code, lines = program.run(["sh", "-c", "echo out; echo ' err' >&2; printf end; exit 3"], shown.append)
    assert (code, lines) == (3, ["out", " err", "end"])
    assert shown == ["out", "err", "end"]


def test_an_interrupt_at_any_moment_of_the_start_ends_the_program(alarm):
    before = children()
    for step in range(100):
        alarm(0.0003 + step * 0.00005)
        with pytest.raises(KeyboardInterrupt):
            program.run(["sleep", "60"], lambda _: None)
    assert children() == before


def test_an_exception_while_showing_a_line_ends_the_program():
    before = children()

    def refuse(_: str) -> None:
        raise ValueError("seen enough")

    with pytest.raises(ValueError, match="seen enough"):
        program.run(["sh", "-c", "echo line; sleep 1000"], refuse)
    assert children() == before
