"""How a load tells what it does: the notebook shows it in a display, a program on its standard error."""

from __future__ import annotations

import sys
from typing import Protocol


class Report(Protocol):
    """What a view of a load implements."""

    def progress(self, text: str, fraction: float | None) -> None:
        """What goes on now, replacing what was said before; `fraction` (0 to 1) where it is known."""

    def notice(self, text: str) -> None:
        """One line that the user should know and that stays."""


class SilentReport:
    """For programs: no progress, and notices on standard error."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        print(f"gpumodels: {text}", file=sys.stderr)  # noqa: T201
