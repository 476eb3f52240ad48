"""A usage as HTML: a bar for each device, split by holder. Style inside, readable on light and dark ground.

It takes the plain values of `as_json`. A front end that removes the style leaves the legend, which says it all.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from gpumodels.attribution.colours import Colours
from gpumodels.attribution.text import facts, holder, no_device
from gpumodels.devices import size

if TYPE_CHECKING:
    from collections.abc import Mapping

_BAR = "display: flex; height: 14px; background: rgba(128,128,128,.25); border-radius: 3px; overflow: hidden"
_PART = "box-sizing: border-box; border-right: 1px solid rgba(255,255,255,.6)"
_FAINT = "opacity: 0.75"
#: Nobody's colour: what is not known is hatched.
_HATCHED = "repeating-linear-gradient(135deg, {colour} 0 3px, transparent 3px 6px)"


def picture(told: Mapping[str, Any]) -> str:
    """All devices, one below the other; or why there is none."""
    if not told["devices"]:
        return f"<div>{escape(no_device(told))}</div>"
    colours = Colours()
    devices = "".join(_device(each, colours) for each in told["devices"])
    return f'<div style="max-width: 60em; line-height: 1.5">{devices}</div>'


def _device(device: Mapping[str, Any], colours: Colours) -> str:
    indent = "; margin-left: 2em" if device["parent"] else ""
    shares = ", ".join(_said(share) for share in device["shares"]) or "nobody"
    said = escape(f"{device['label']}, {facts(device)}, held by {shares}")
    parts = "".join(_part(share, device["memory_total"], colours) for share in device["shares"])
    legend = "".join(_entry(share, colours) for share in device["shares"])
    bar = f'<div role="img" aria-label="{said}" style="{_BAR}">{parts}</div>' if device["memory_total"] else ""
    head = f"<b>{escape(device['label'])}</b> {escape(device['name'])} · {escape(facts(device))}"
    return (
        f'<div style="margin-bottom: 10px{indent}"><div title="{escape(device["uuid"])}">{head}</div>'
        f"{bar}<div>{legend}</div></div>"
    )


def _part(share: Mapping[str, Any], total: int | None, colours: Colours) -> str:
    width = 100 * (share["memory"] or 0) / total if total else 0
    style = f"{_PART}; width: {width:.2f}%; background: {_ground(share, colours)}"
    return f'<span title="{escape(_said(share))}" style="{style}"></span>'


def _entry(share: Mapping[str, Any], colours: Colours) -> str:
    swatch = f"display: inline-block; width: 10px; height: 10px; background: {_ground(share, colours)}"
    name = escape(holder(share))
    return (
        f'<span style="margin-right: 16px; white-space: nowrap" title="{escape(share["notebook"])}">'
        f'<span style="{swatch}"></span> {name} <span style="{_FAINT}">{size(share["memory"])}</span></span> '
    )


def _ground(share: Mapping[str, Any], colours: Colours) -> str:
    colour = colours.of(share)
    return _HATCHED.format(colour=colour) if share["kind"] == "unaccounted" else colour


def _said(share: Mapping[str, Any]) -> str:
    return f"{holder(share)} {size(share['memory'])}"
