"""Running another program and showing its output, line by line."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from gpumodels.lease import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: The seconds between two interruptions of the wait for output. A signal that arrives just before a blocking read is
#: handled by Python only after that read, and a silent program could block it for long.
_TICK = 0.2


def run(
    command: list[str],
    show: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    end_with: signal.Signals = signal.SIGKILL,
) -> tuple[int, list[str]]:
    """Run a program, and return its exit code and the lines that it printed to stdout and stderr.

    Call `show` with each line as soon as it is printed. After an interrupt or an exception of `show`, send the signal
    `end_with` to the program and its subprocesses.
    """
    lines = []
    with ExitStack() as ended:
        with uninterrupted():  # after an interrupt between the start and `push` the program would go on
            process = ended.enter_context(
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )
            )  # fmt: skip
            ended.push(lambda kind, *_: _end(process, end_with) if kind else None)
        for line in _lines(process):
            lines.append(line.rstrip())
            show(line.strip())
    return process.returncode, lines


def _end(process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    # An interrupt of our process group may have ended the program before it had a group of its own.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, by)
    process.wait()


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    pipe = process.stdout.fileno() if process.stdout is not None else -1
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    rest = b""
    while True:
        if not poll.poll(1000 * _TICK):
            continue
        chunk = os.read(pipe, 1 << 16)
        *whole, rest = (rest + chunk).split(b"\n")
        if not chunk and rest:
            whole.append(rest)
        yield from (line.decode(errors="replace") for line in whole)
        if not chunk:
            return
