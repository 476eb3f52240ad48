"""A report that keeps what it was told."""

from __future__ import annotations


class Recorded:
    """Progress as (text, fraction), and notices."""

    def __init__(self) -> None:
        self.progressed: list[tuple[str, float | None]] = []
        self.notices: list[str] = []

    def progress(self, text: str, fraction: float | None) -> None:
        self.progressed.append((text, fraction))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    @property
    def fractions(self) -> list[float]:
        return [fraction for _, fraction in self.progressed if fraction is not None]

    def said(self, text: str) -> bool:
        return any(text in line for line, _ in self.progressed)
