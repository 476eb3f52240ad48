"""How a load tells what it does: the notebook shows it in a display, a program on its standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.client import Ticket


class Report(Protocol):
    """What a view of a load implements."""

    def progress(self, text: str, fraction: float | None) -> None:
        """What goes on now, replacing what was said before; `fraction` (0 to 1) where it is known."""

    def notice(self, text: str) -> None:
        """One line that the user should know and that stays."""

    def end(self, text: str) -> None:
        """The last line: what became of the load."""


class SilentReport:
    """For programs: no progress, and notices on standard error."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        print(f"gpumodels: {text}", file=sys.stderr)  # noqa: T201

    def end(self, text: str) -> None:
        """Say nothing."""


class Nowhere(SilentReport):
    """For what goes on in the background: says nothing at all."""

    def notice(self, text: str) -> None:
        """Say nothing."""


class GivenUp:
    """A report to which somebody listens who may end it: at the next step that is told it raises CancelledError."""

    def __init__(self, report: Report, ticket: Ticket) -> None:
        self._ticket = ticket
        self._progress = report.progress
        self.notice = report.notice
        self.end = report.end

    def progress(self, text: str, fraction: float | None) -> None:
        self._ticket.check()
        self._progress(text, fraction)


#: Makes the report of a load that nobody asked for in a cell of its own: that of a model which a call wakes.
_current: list[Callable[[], Report]] = [SilentReport]


def current() -> Report:
    """The report of such a load."""
    return _current[-1]()


def show_by(make: Callable[[], Report]) -> None:
    """From here on such loads are shown so; SilentReport says nothing."""
    _current[:] = [make]
