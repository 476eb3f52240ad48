"""Tables of text: with lines in a terminal, in plain columns in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from gpumodels.presentation import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def show(headings: Sequence[str], rows: Iterable[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
    """Print rows of text under headings. `styles` holds a style of rich, such as a colour, for each of the columns."""
    printed = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.write(_plain([list(headings), *printed]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, style=styles[index] if index < len(styles) else "", overflow="fold")
    for row in printed:
        table.add_row(*row)
    Console(markup=False, highlight=False, emoji=False).print(table)


def _plain(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in table)
