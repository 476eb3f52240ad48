"""What stays of a widget in a saved notebook: HTML with its style inside, readable in light and dark, and text."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from gpumodels.attribution.picture import picture
from gpumodels.attribution.text import text
from gpumodels.devices import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpumodels.widgets.state import State

_HEADINGS = ("model", "notebook", "device", "memory", "calls/s", "p50", "p99", "queue", "idle")
_FAINT = "opacity: 0.75"
_UNKNOWN = "\N{EN DASH}"
_MINUTES, _HOURS = 60, 5400  # seconds from which spans are told in those


def dashboard(state: State, mark: str, asleep: Iterable[str]) -> dict[str, str]:
    """The GPUs and models of `state` by MIME type, and what is said of models that sleep.

    The living widget hides what bears `mark`.
    """
    seen = time.localtime(state["moment"])
    moment = time.strftime("as seen on %d %b, %H:%M; run the cell again to see it live", seen)
    said = list(asleep) or ([] if state["models"] else ["No model is running."])
    html = picture(state) + _table(state["models"]) + "".join(f"<div>{escape(line)}</div>" for line in said)
    html += f'<div style="{_FAINT}">{moment}</div>'
    lines = [text(state), *("  ".join(_row(model)) for model in state["models"]), *said, moment]
    return {"text/html": _marked(html, mark), "text/plain": "\n".join(lines)}


def card(state: State, mark: str, instances: Iterable[str], said: str) -> dict[str, str]:
    """The picture of one model: the instances that stand behind its handle, and what that says of itself."""
    found = [model for model in state["models"] if model["id"] in instances]
    return {"text/html": _marked(f"<div>{escape(said)}</div>{_table(found)}", mark)}


def _marked(html: str, mark: str) -> str:
    """With a style for JupyterLab, which says "model not found" in place of a widget whose kernel has ended."""
    still = f'[data-gpumodels-still="{escape(mark)}"]'
    dead = f".jp-OutputArea-child:has(+ .jp-OutputArea-child {still}):not(:has(.gpumodels))"
    return f'<style>{dead} {{ display: none }}</style><div data-gpumodels-still="{escape(mark)}">{html}</div>'


def _table(models: Iterable[Mapping[str, Any]]) -> str:
    rows = [_row(model) for model in models]
    if not rows:
        return ""
    cells = [(tag, row) for tag, row in [("th", _HEADINGS), *(("td", row) for row in rows)]]
    html = "".join(
        "<tr>" + "".join(f'<{tag} style="text-align: left">{escape(text)}</{tag}>' for text in row) + "</tr>"
        for tag, row in cells
    )
    return f"<table>{html}</table>"


def _row(model: Mapping[str, Any]) -> tuple[str, ...]:
    work = model["activity"] or {}
    state = "" if model["state"] == "ready" else f" ({model['state']})"
    state += " (over its memory limit)" if model["over_since"] else ""
    return (
        model["name"] + state,
        model["notebook"].rpartition("/")[2] or f"process {model['pid']}",
        model["device"],
        _UNKNOWN if model["memory"] is None else size(model["memory"]),
        _number(work.get("per_second")),
        _milliseconds(work.get("p50")),
        _milliseconds(work.get("p99")),
        _number(work.get("waiting")),
        "running" if work.get("running") else _span(model["idle"]),
    )


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f}".removesuffix(".0")


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS else f"{seconds / 3600:.0f} h"
