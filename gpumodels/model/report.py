"""Reports: how a load shows its progress, in a notebook's display or on a program's standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.client import Ticket


class Report(Protocol):
    """The interface of everything that shows a load."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Show the current step, in place of the one before; `fraction` (0 to 1) if it is known."""

    def notice(self, text: str) -> None:
        """Show a line that stays."""

    def end(self, text: str) -> None:
        """Show the last line, the outcome of the load."""


class SilentReport:
    """A report for programs: notices go to standard error, nothing else is shown."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        print(f"gpumodels: {text}", file=sys.stderr)  # noqa: T201

    def end(self, text: str) -> None:
        """Show nothing."""


class NullReport(SilentReport):
    """A report for loads in the background: it shows nothing at all."""

    def notice(self, text: str) -> None:
        """Show nothing."""


class CancellableReport:
    """A report that raises CancelledError at the next progress after its ticket was ended."""

    def __init__(self, report: Report, ticket: Ticket) -> None:
        self._ticket = ticket
        self._progress = report.progress
        self.notice = report.notice
        self.end = report.end

    def progress(self, text: str, fraction: float | None) -> None:
        self._ticket.check()
        self._progress(text, fraction)


#: Makes the report of loads that no cell asked for: those of models that a call wakes.
_default: list[Callable[[], Report]] = [SilentReport]


def default_report() -> Report:
    """Return a report for a load that no cell asked for."""
    return _default[-1]()


def set_default_report(make: Callable[[], Report]) -> None:
    """Have `make` create the reports of such loads from now on. SilentReport shows only notices."""
    _default[:] = [make]
