"""Running another program and showing its output line by line."""

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

#: Seconds after which the wait for a silent program's output is interrupted. Python handles a signal that arrives just
#: before a blocking read only after that read, which may be at the program's next line.
_TICK = 0.2


def run(
    command: list[str],
    show: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    end_with: signal.Signals = signal.SIGKILL,
) -> tuple[int, list[str]]:
    """Run a program, and return its exit code and the lines that it printed on both streams.

    `show` is called with each line as it comes. After an interrupt or an exception of `show`, the program and its
    subprocesses get the signal `end_with`.
    """
    lines = []
    with ExitStack() as ended:
        with uninterrupted():  # an interrupt between the start and `push` would leave the program running
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
