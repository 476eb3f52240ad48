"""The displays of `%models` and `%gpus`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gpumodels.attribution import as_html, as_json, as_text
from gpumodels.presentation import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.attribution import Usage
    from gpumodels.instances import ModelView, Overview
    from gpumodels.lease import Owner

_HEADINGS = ("model", "device", "engine", "state", "notebook", "since")
_NOTHING = "No model is running."


class Listing:
    """A table of models, as HTML in a notebook and as text in a terminal."""

    def __init__(self, overview: Overview, here: Owner) -> None:
        """Make the table of `overview`. The models of the process `here` come first."""
        ordered = sorted(overview.models, key=lambda view: not _is_same(view.record.owner, here))
        self._rows = [_row(view, here) for view in ordered]

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


class Gpus:
    """A display of the GPUs and the holders of their memory."""

    def __init__(self, usage: Usage) -> None:
        self._usage = as_json(usage)

    def __repr__(self) -> str:
        return as_text(self._usage)

    def _repr_html_(self) -> str:
        return as_html(self._usage)


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="text-align: left">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"


def _state(view: ModelView) -> str:
    record = view.record
    if view.sleep is not None:
        return str(view.sleep)
    if view.load is not None:
        return view.load.summary
    state = record.state if record.kept_since is None else f"kept since {clock(record.kept_since)}"
    return state if record.over_since is None else f"{state}, over its memory limit since {clock(record.over_since)}"


def _row(view: ModelView, here: Owner) -> tuple[str, ...]:
    record, owner = view.record, view.record.owner
    notebook = "this notebook" if _is_same(owner, here) else owner.notebook or f"process {owner.pid}"
    device = record.device if record.engine else ""
    return record.model, device, record.engine, _state(view), notebook, clock(record.created)


def _is_same(owner: Owner, here: Owner) -> bool:
    return owner.pid == here.pid
