"""How a load is told in a terminal: on stderr, in a line that is rewritten; in a pipe only what stays."""

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
    """Shows the load that runs in its block."""

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
        """What goes on now; nothing where nobody looks."""
        if self._console is None:
            return
        from rich.text import Text  # noqa: PLC0415

        said = Text(text if fraction is None else f"{fraction:4.0%} {text}", overflow="ellipsis", no_wrap=True)
        if self._status is None:
            self._status = self._console.status(said, spinner="line")
            self._status.start()
        else:
            self._status.update(said)

    def notice(self, text: str) -> None:
        """A line that stays."""
        if self._console is None:
            sys.stderr.write(f"gpumodels: {text}\n")
        else:
            self._console.print(f"gpumodels: {text}")

    def end(self, text: str) -> None:
        """The last line."""
        self.notice(text)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, the end that others ask for (SIGTERM, or a terminal that is closed) is an interrupt as Ctrl-C is."""
    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
