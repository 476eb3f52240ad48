"""The progress of a load in a shell, and the line that stays: one display in a notebook, one line in a terminal."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Protocol

from IPython.display import DisplayHandle

from gpumodels.model import Report

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_UPDATES = 10  # updates a second on average, and the most updates in a burst
_BAR = 20  # characters


class View(Report, Protocol):
    """A report that shows a load and its last line."""

    def end(self, text: str) -> None:
        """Show the last line: the result of the load."""


def view(shell: InteractiveShell, *, silent: bool) -> View:
    """Return the view for a shell: a display in a Jupyter kernel, lines of text elsewhere, none if `silent`."""
    if silent:
        return NoView()
    return NotebookView() if hasattr(shell, "kernel") else TerminalView()


class NoView:
    """A view that shows nothing, for a magic that ends in `;`."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Show nothing."""

    def end(self, text: str) -> None:
        """Show nothing."""


class NotebookView:
    """One display that is updated during the load. Notices and the last line stay in the saved notebook."""

    def __init__(self) -> None:
        self._display, self._begun = DisplayHandle(), False  # type: ignore[no-untyped-call]
        self._notices: list[str] = []
        #: The number of updates that may be shown at once, and the moment when it was last counted. The number grows by
        #: `_UPDATES` a second.
        self._allowed, self._counted = float(_UPDATES), time.monotonic()

    def progress(self, text: str, fraction: float | None) -> None:
        if self._may_update():
            bar = "" if fraction is None else f'<progress value="{fraction:.3f}" max="1"></progress> '
            self._show(_with_bar(text, fraction), bar + escape(text))

    def notice(self, text: str) -> None:
        self._notices.append(text)
        self._show("", "")

    def end(self, text: str) -> None:
        self._show(text, escape(text))

    def _may_update(self) -> bool:
        """Return True if an update may be shown now.

        The rate is limited, because a build may print hundreds of lines a second, too many for a browser.
        """
        now = time.monotonic()
        self._allowed = min(_UPDATES, self._allowed + (now - self._counted) * _UPDATES)
        self._counted = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True

    def _show(self, text: str, html: str) -> None:
        plain = [*self._notices, *filter(None, [text])]
        rows = "".join(f"<div>{row}</div>" for row in [*map(escape, self._notices), *filter(None, [html])])
        bundle = {
            "text/plain": "\n".join(plain),
            "text/html": f'<div style="white-space: pre-wrap">{rows}</div>',
        }
        show = self._display.update if self._begun else self._display.display
        self._begun = True  # set first, so that after an interrupt in `show` there is no second display
        show(bundle, raw=True)  # type: ignore[no-untyped-call]


class TerminalView:
    """One line that is rewritten in place. If the output is no terminal, only notices and the last line are printed."""

    def progress(self, text: str, fraction: float | None) -> None:
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[K{_with_bar(text, fraction)}")
            sys.stdout.flush()

    def notice(self, text: str) -> None:
        self.end(text)

    def end(self, text: str) -> None:
        clear = "\r\x1b[K" if sys.stdout.isatty() else ""
        sys.stdout.write(f"{clear}{text}\n")
        sys.stdout.flush()


def _with_bar(text: str, fraction: float | None) -> str:
    if fraction is None:
        return text
    done = round(min(max(fraction, 0.0), 1.0) * _BAR)
    return f"[{'#' * done}{' ' * (_BAR - done)}] {text}"
