"""A usage as HTML: a bar for each device, split by holder. Its inline styles suit light and dark backgrounds.

The functions take the plain values of `as_json`. If a front end removes the styles, the legend still shows all facts.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from gpumodels.attribution.text import holder, no_device, readings
from gpumodels.presentation import size

if TYPE_CHECKING:
    from collections.abc import Mapping

_BAR = "display: flex; height: 14px; background: rgba(128,128,128,.25); border-radius: 3px; overflow: hidden"
_PART = "box-sizing: border-box; border-right: 1px solid rgba(255,255,255,.6)"
_FAINT = "opacity: 0.75"
#: The pattern of unaccounted memory, which belongs to no known holder.
_HATCHED = "repeating-linear-gradient(135deg, {colour} 0 3px, transparent 3px 6px)"


def as_html(usage: Mapping[str, Any]) -> str:
    """Return the HTML of all devices, one below the other. If there is no device, it shows the reason."""
    if not usage["devices"]:
        return f"<div>{escape(no_device(usage))}</div>"
    devices = "".join(map(_device, usage["devices"]))
    return f'<div style="max-width: 60em; line-height: 1.5">{devices}</div>'


def _device(device: Mapping[str, Any]) -> str:
    indent = "; margin-left: 2em" if device["parent"] else ""
    holders = ", ".join(map(_holding, device["shares"])) or "nobody"
    label = escape(f"{device['label']}, {readings(device)}, held by {holders}")
    parts = "".join(_part(share, device["memory_total"]) for share in device["shares"])
    legend = "".join(map(_entry, device["shares"]))
    bar = f'<div role="img" aria-label="{label}" style="{_BAR}">{parts}</div>' if device["memory_total"] else ""
    head = f"<b>{escape(device['label'])}</b> {escape(device['name'])} · {escape(readings(device))}"
    return (
        f'<div style="margin-bottom: 10px{indent}"><div title="{escape(device["uuid"])}">{head}</div>'
        f"{bar}<div>{legend}</div></div>"
    )


def _part(share: Mapping[str, Any], total: int | None) -> str:
    width = 100 * (share["memory"] or 0) / total if total else 0
    style = f"{_PART}; width: {width:.2f}%; background: {_background(share)}"
    return f'<span title="{escape(_holding(share))}" style="{style}"></span>'


def _entry(share: Mapping[str, Any]) -> str:
    swatch = f"display: inline-block; width: 10px; height: 10px; background: {_background(share)}"
    name = escape(holder(share))
    return (
        f'<span style="margin-right: 16px; white-space: nowrap" title="{escape(share["notebook"])}">'
        f'<span style="{swatch}"></span> {name} <span style="{_FAINT}">{size(share["memory"])}</span></span> '
    )


def _background(share: Mapping[str, Any]) -> str:
    colour = str(share["colour"])
    return _HATCHED.format(colour=colour) if share["kind"] == "unaccounted" else colour


def _holding(share: Mapping[str, Any]) -> str:
    return f"{holder(share)} {size(share['memory'])}"
