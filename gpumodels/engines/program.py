"""Running another program to its end, line by line."""

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

#: How often, in seconds, a silent program is looked up from: a signal that came in the instant before a blocking read
#: would else be heard only at the program's next line.
_TICK = 0.2


def run(
    command: list[str],
    show: Callable[[str], None],
    *,
    environment: Mapping[str, str] | None = None,
    end_with: signal.Signals = signal.SIGKILL,
) -> tuple[int, list[str]]:
    """The exit code and the lines that the program printed, on either stream; `show` is given each as it comes.

    An interrupt, or an exception of `show`, ends the program and what it started with the signal `end_with`.
    """
    lines = []
    with ExitStack() as ended:
        with uninterrupted():  # else one that is just starting would run on, known to nobody
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
    # An interrupt of our whole process group may have ended it in the instant before it had one of its own.
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
