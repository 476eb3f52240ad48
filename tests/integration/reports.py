"""A report of a load that records its lines."""

from __future__ import annotations


class Recorded:
    """A report with all progress, as (text, fraction), and all notices."""

    def __init__(self) -> None:
        self.progressed: list[tuple[str, float | None]] = []
        self.notices: list[str] = []

    def progress(self, text: str, fraction: float | None) -> None:
        self.progressed.append((text, fraction))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    @property
    def fractions(self) -> list[float]:
        """The known fractions of the progress, in order."""
        return [fraction for _, fraction in self.progressed if fraction is not None]

    def mentions(self, text: str) -> bool:
        """Return True if a line of the progress has that text."""
        return any(text in line for line, _ in self.progressed)
