"""A usage in words: for a terminal, and wherever a picture needs them. All take the plain values of `as_json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gpumodels.attribution.colours import Colours
from gpumodels.devices import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_GLYPHS = {"model": "█", "kernel": "▓", "process": "▒", "others": "░", "unaccounted": "-"}
_WIDTH = 60  # of a bar


class Piece(NamedTuple):
    """Some text of a line, and its colour as CSS; "" for that of the text around it."""

    text: str
    colour: str = ""


def text(told: Mapping[str, Any]) -> str:
    """The lines of all devices, without colours."""
    return "\n".join("".join(piece.text for piece in line) for line in lines(told))


def lines(told: Mapping[str, Any]) -> Iterator[Sequence[Piece]]:
    """The lines of all devices: readings, a bar, and who holds what. One that says why where there is no device."""
    if not told["devices"]:
        yield [Piece(no_device(told))]
    colours = Colours()
    for device in told["devices"]:
        yield [Piece(printable("  ".join(filter(None, (device["label"], device["name"], device["short_uuid"])))))]
        yield [Piece(f"  {facts(device)}")]
        if device["memory_total"]:
            yield _bar(device, colours)
        for share in device["shares"]:
            mark = Piece(_GLYPHS[share["kind"]], colours.of(share))
            yield [Piece("  "), mark, Piece(printable(f" {size(share['memory']):>8}  {holder(share)}"))]


def no_device(told: Mapping[str, Any]) -> str:
    """What is said where there is none."""
    return f"No GPU: {told['trouble']}."


def facts(device: Mapping[str, Any]) -> str:
    """The readings that there are: "11.2 GB / 80.0 GB · 35 % busy · 54 °C · 210 / 700 W"; or what is wrong with it."""
    if device["trouble"]:
        return str(device["trouble"])
    seen = [f"{size(device['memory_used'])} / {size(device['memory_total'])}"]
    for key, form in (("utilisation", "{} % busy"), ("temperature", "{} °C")):
        if device[key] is not None:
            seen.append(form.format(device[key]))
    if device["power"] is not None:
        limit = "" if device["power_limit"] is None else f" / {device['power_limit']:.0f}"
        seen.append(f"{device['power']:.0f}{limit} W")
    if not device["allowed"]:
        seen.append("not allowed by your administrator")
    elif device["sliced"]:
        seen.append("MIG mode: use a slice")
    return " · ".join(seen)


def holder(share: Mapping[str, Any]) -> str:
    """Who holds a share, for a legend: a name, and the notebook's file name where that says more."""
    notebook = share["notebook"].rpartition("/")[2]
    said = [share["name"], *([notebook] if notebook not in ("", share["name"]) else [])]
    return " · ".join([*said, *(["over its memory limit"] if share["over_limit"] else [])])


def _bar(device: Mapping[str, Any], colours: Colours) -> list[Piece]:
    """The device's memory from left to right; each end is rounded by itself, so that the whole is true."""
    pieces, so_far, at = [Piece("  [")], 0, 0
    for share in device["shares"]:
        so_far += share["memory"] or 0
        end = min(_WIDTH, round(_WIDTH * so_far / device["memory_total"]))
        pieces.append(Piece(_GLYPHS[share["kind"]] * (end - at), colours.of(share)))
        at = end
    return [*pieces, Piece(f"{' ' * (_WIDTH - at)}]")]


def printable(text: str) -> str:
    """What a file or a program is called must not steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
