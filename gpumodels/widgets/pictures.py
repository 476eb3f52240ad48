"""What stays of a widget in a saved notebook: HTML with its style inside, readable in light and dark, and text."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from gpumodels.devices import size
from gpumodels.widgets.colours import Colours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpumodels.widgets.state import State

_HEADINGS = ("model", "notebook", "device", "memory", "calls/s", "p50", "p99", "queue", "idle")
_FAINT = "opacity: 0.7"
_BAR = "display: flex; height: 14px; background: rgba(128,128,128,.25); border-radius: 3px; overflow: hidden"
_UNKNOWN = "\N{EN DASH}"
_MINUTES, _HOURS = 60, 5400  # seconds from which spans are told in those


def dashboard(state: State, mark: str) -> dict[str, str]:
    """The GPUs and models of `state` by MIME type; the living widget hides what bears `mark`."""
    moment = time.strftime("%d %b %H:%M", time.localtime(state["moment"]))
    colours = Colours()
    devices = "".join(_device(device, colours) for device in state["devices"])
    html = (
        (devices or f"<div>No GPU: {escape(state['trouble'])}.</div>")
        + (_table(state["models"]) or "<div>No model is running.</div>")
        + f'<div style="{_FAINT}">as seen on {moment}</div>'
    )
    lines = [_device_line(device) for device in state["devices"]] or [f"No GPU: {state['trouble']}."]
    lines += ["  ".join(_row(model)) for model in state["models"]] or ["No model is running."]
    return {"text/html": _marked(html, mark), "text/plain": "\n".join(lines)}


def card(state: State, mark: str, instances: Iterable[str], said: str) -> dict[str, str]:
    """The picture of one model: the instances that stand behind its handle, and what that says of itself."""
    found = [model for model in state["models"] if model["id"] in instances]
    return {"text/html": _marked(f"<div>{escape(said)}</div>{_table(found)}", mark)}


def _marked(html: str, mark: str) -> str:
    return f'<div data-gpumodels-still="{escape(mark)}">{html}</div>'


def _device(device: Mapping[str, Any], colours: Colours) -> str:
    total = device["memory_total"] or 0
    parts, legend = [], []
    for share in device["shares"]:
        colour, text = colours.of(share), escape(f"{holder(share)} {size(share['memory'])}")
        width = 100 * (share["memory"] or 0) / total if total else 0
        parts.append(f'<span title="{text}" style="width: {width:.2f}%; background: {colour}"></span>')
        swatch = f'<span style="color: {colour}" aria-hidden="true">&#9632;</span>'
        legend.append(f'<span style="margin-right: 14px">{swatch} {text}</span>')
    return (
        f'<div style="margin-bottom: 8px"><div><b>{escape(device["label"])}</b> {escape(_facts(device))}</div>'
        f'<div role="img" aria-label="{escape(_device_line(device))}" style="{_BAR}">{"".join(parts)}</div>'
        f'<div style="{_FAINT}">{"".join(legend)}</div></div>'
    )


def _facts(device: Mapping[str, Any]) -> str:
    if device["trouble"]:
        return f"{device['name']}: {device['trouble']}"
    seen = [device["name"], f"{size(device['memory_used'])} / {size(device['memory_total'])}"]
    for key, form in (("utilisation", "{:.0f} % busy"), ("temperature", "{:.0f} °C"), ("power", "{:.0f} W")):
        if device[key] is not None:
            seen.append(form.format(device[key]))
    return " · ".join(seen)


def _device_line(device: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{holder(share)} {size(share['memory'])}" for share in device["shares"])
    return f"{device['label']} {_facts(device)}" + (f": {shares}" if shares else "")


def holder(share: Mapping[str, Any]) -> str:
    """Whose memory it is, for a legend: a name and the notebook's file name."""
    notebook = share["notebook"].rpartition("/")[2]
    return f"{share['name']} · {notebook}" if notebook not in ("", share["name"]) else share["name"]


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
