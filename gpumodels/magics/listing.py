"""Models that run, load or sleep as a table, for `%models`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gpumodels.lease.record import InstanceRecord, Owner
from gpumodels.presentation import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gpumodels.instances.loads import Load

_HEADINGS = ("model", "device", "engine", "state", "notebook", "since")
_NOTHING = "No model is running."


class Listing:
    """A table that a notebook shows as HTML and a terminal as text."""

    def __init__(
        self,
        records: Iterable[InstanceRecord],
        here: Owner,
        asleep: Iterable[tuple[InstanceRecord, str]] = (),
        loads: Sequence[Load] = (),
    ) -> None:
        """`here` is who asks: its models come first; those that sleep come with what is said of that."""
        said = {instance: load.said for load in loads for instance in load.instances}
        seen = [(each, (each.state == "loading" and said.get(each.id)) or _state(each)) for each in records]
        known = {record.id for record, _ in seen}
        seen += [(_early(load), load.said) for load in loads if not known.intersection(load.instances)]
        seen += [(record, state) for record, state in asleep if record.id not in said]  # else it is being woken
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


def _early(load: Load) -> InstanceRecord:
    """What is known of the instance of a load that has none yet."""
    return InstanceRecord("", load.model, "", Owner(load.pid, load.kernel_id, load.notebook), load.began)


def _state(record: InstanceRecord) -> str:
    state = record.state if record.kept_since is None else f"kept since {clock(record.kept_since)}"
    return state if record.over_since is None else f"{state}, over its memory limit since {clock(record.over_since)}"


def _row(record: InstanceRecord, state: str, here: Owner) -> tuple[str, ...]:
    owner = record.owner
    notebook = "this notebook" if _same(owner, here) else owner.notebook or f"process {owner.pid}"
    device = record.device if record.engine else ""
    return record.model, device, record.engine, state, notebook, clock(record.created)


def _same(owner: Owner, here: Owner) -> bool:
    return owner.pid == here.pid
