"""The progress of a load in a terminal, on stderr, and the handling of signals that end a command."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.status import Status


class TerminalReport:
    """A context manager that shows the load in its block.

    In a terminal one line shows the progress and is rewritten. In a pipe only notices and the last line are printed.
    """

    def __init__(self) -> None:
        self._console: Console | None = None
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415

            self._console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def progress(self, text: str, fraction: float | None) -> None:
        """Show the current step of the load, if stderr is a terminal."""
        if self._console is None:
            return
        from rich.text import Text  # noqa: PLC0415

        line = Text(text if fraction is None else f"{fraction:4.0%} {text}", overflow="ellipsis", no_wrap=True)
        if self._status is None:
            self._status = self._console.status(line, spinner="line")
            self._status.start()
        else:
            self._status.update(line)

    def notice(self, text: str) -> None:
        """Print a message, which the progress does not overwrite."""
        if self._console is None:
            sys.stderr.write(f"gpumodels: {text}\n")
        else:
            self._console.print(f"gpumodels: {text}")

    def end(self, text: str) -> None:
        """Print the last line of the load."""
        self.notice(text)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block on SIGTERM and SIGHUP (a closed terminal), as on Ctrl-C.

    Signals that are ignored, such as SIGHUP under `nohup`, stay ignored.
    """
    caught = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
