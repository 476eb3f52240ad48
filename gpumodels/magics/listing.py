"""Running models as a table, for `%models`."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpumodels.lease.record import InstanceRecord, Owner

_HEADINGS = ("model", "device", "engine", "state", "notebook", "since")
_NOTHING = "No model is running."
_DAY = 86400  # seconds


class Listing:
    """A table that a notebook shows as HTML and a terminal as text."""

    def __init__(
        self, records: Iterable[InstanceRecord], here: Owner, asleep: Iterable[tuple[InstanceRecord, str]] = ()
    ) -> None:
        """`here` is who asks: its models come first; those of it that sleep come with what is said of that."""
        seen = [*asleep, *((record, _state(record)) for record in records)]
        ordered = sorted(seen, key=lambda each: not _same(each[0].owner, here))
        self._rows = [_row(record, state, here) for record, state in ordered]

    def __repr__(self) -> str:
        if not self._rows:
            return _NOTHING
        table = [_HEADINGS, *self._rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)

    def _repr_html_(self) -> str:
        if not self._rows:
            return _NOTHING
        rows = "".join(_html_row("td", row) for row in self._rows)
        return f"<table><thead>{_html_row('th', _HEADINGS)}</thead><tbody>{rows}</tbody></table>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="text-align: left">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"


def _state(record: InstanceRecord) -> str:
    state = record.state if record.kept_since is None else f"kept since {_since(record.kept_since)}"
    return state if record.over_since is None else f"{state}, over its memory limit since {_since(record.over_since)}"


def _row(record: InstanceRecord, state: str, here: Owner) -> tuple[str, ...]:
    owner = record.owner
    notebook = "this notebook" if _same(owner, here) else owner.notebook or f"process {owner.pid}"
    return record.model, record.device, record.engine, state, notebook, _since(record.created)


def _same(owner: Owner, here: Owner) -> bool:
    return owner.pid == here.pid


def _since(created: float) -> str:
    form = "%H:%M" if time.time() - created < _DAY / 2 else "%d %b %H:%M"
    return time.strftime(form, time.localtime(created))
