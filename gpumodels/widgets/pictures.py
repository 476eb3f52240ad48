"""The pictures that widgets leave in a saved notebook, as text and as HTML. They suit light and dark themes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from gpumodels.attribution import as_html, as_text
from gpumodels.presentation import date_and_clock, duration, latency, rate, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpumodels.widgets.state import State

_HEADINGS = ("model", "notebook", "device", "memory", "calls/s", "p50", "p99", "queue", "idle")
_FAINT = "opacity: 0.75"
_UNKNOWN = "\N{EN DASH}"


def dashboard(state: State, picture_id: str, asleep: Iterable[str]) -> dict[str, str]:
    """Return the picture of the GPUs and models of `state`, as texts by MIME type.

    `asleep` holds the lines on sleeping models. The live widget finds the picture by `picture_id`, and hides it.
    """
    foot = f"as seen on {date_and_clock(state['moment'])}; run the cell again to see it live"
    notes = list(asleep) or ([] if state["models"] else ["No model is running."])
    html = as_html(state) + _table(state["models"]) + "".join(f"<div>{escape(line)}</div>" for line in notes)
    html += f'<div style="{_FAINT}">{foot}</div>'
    lines = [as_text(state), *("  ".join(_row(model)) for model in state["models"]), *notes, foot]
    return {"text/html": _marked(html, picture_id), "text/plain": "\n".join(lines)}


def card(state: State, picture_id: str, instances: Iterable[str], description: str) -> dict[str, str]:
    """Return the picture of one model: the description of its handle, and a row for each of its `instances`."""
    found = [model for model in state["models"] if model["id"] in instances]
    return {"text/html": _marked(f"<div>{escape(description)}</div>{_table(found)}", picture_id)}


def _marked(html: str, picture_id: str) -> str:
    """Put `html` into an element with the picture's id. Add a style that hides JupyterLab's "model not found".

    JupyterLab shows that error in place of a widget after the widget's kernel has ended.
    """
    selector = f'[data-gpumodels-picture="{escape(picture_id)}"]'
    dead = f".jp-OutputArea-child:has(+ .jp-OutputArea-child {selector}):not(:has(.gpumodels))"
    return f'<style>{dead} {{ display: none }}</style><div data-gpumodels-picture="{escape(picture_id)}">{html}</div>'


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
    activity = model["activity"] or {}
    state = "" if model["state"] == "ready" else f" ({model['state']})"
    state += " (over its memory limit)" if model["over_since"] else ""
    return (
        model["name"] + state,
        model["notebook"].rpartition("/")[2] or f"process {model['pid']}",
        model["device"],
        _known(size, model["memory"]),
        _known(rate, activity.get("per_second")),
        _known(latency, activity.get("p50")),
        _known(latency, activity.get("p99")),
        _known(str, activity.get("waiting")),
        "running" if activity.get("running") else _known(duration, model["idle"]),
    )


def _known(form: Callable[[Any], str], value: float | None) -> str:
    return _UNKNOWN if value is None else form(value)
