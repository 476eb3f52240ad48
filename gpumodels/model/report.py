"""Reports: the display of a load's progress, in a notebook or on the standard error of a program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpumodels.client import Ticket


class Report(Protocol):
    """The interface of the objects that display a load."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Show a step in place of the last one. `fraction` is its progress from 0 to 1, or None if unknown."""

    def notice(self, text: str) -> None:
        """Show a line that later lines do not replace."""

    def end(self, text: str) -> None:
        """Show the outcome of the load in the last line."""


class SilentReport:
    """A report for programs. It prints notices on standard error, and nothing else."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        print(f"gpumodels: {text}", file=sys.stderr)  # noqa: T201

    def end(self, text: str) -> None:
        """Show nothing."""


class NullReport(SilentReport):
    """A report for loads in the background. It shows nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""


class CancellableReport:
    """A report that raises CancelledError at the next step of the load, once `ticket` was ended to cancel the load."""

    def __init__(self, report: Report, ticket: Ticket) -> None:
        self._ticket = ticket
        self._progress = report.progress
        self.notice = report.notice
        self.end = report.end

    def progress(self, text: str, fraction: float | None) -> None:
        self._ticket.check()
        self._progress(text, fraction)


#: One item: the function that creates the report of a load without a cell, such as when a call wakes a model.
_default: list[Callable[[], Report]] = [SilentReport]


def default_report() -> Report:
    """Return a new report for a load that no cell started, such as when a call wakes a model."""
    return _default[-1]()


def set_default_report(make: Callable[[], Report]) -> None:
    """Use `make` from now on to create the reports for `default_report`. At first it is SilentReport."""
    _default[:] = [make]
