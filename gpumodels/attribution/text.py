"""A usage as text, for terminals and for labels of the HTML. All functions take the plain values of `as_json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gpumodels.presentation import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_GLYPHS = {"model": "█", "kernel": "▓", "process": "▒", "others": "░", "unaccounted": "-"}
_WIDTH = 60  # characters of a bar


class Piece(NamedTuple):
    """A part of a line and its colour in CSS; "" for the colour of normal text."""

    text: str
    colour: str = ""


def as_text(usage: Mapping[str, Any]) -> str:
    """Return the lines of all devices, without colours."""
    return "\n".join("".join(piece.text for piece in line) for line in as_lines(usage))


def as_lines(usage: Mapping[str, Any]) -> Iterator[Sequence[Piece]]:
    """Yield the lines of each device: its readings, a bar and its holders. Without a device, yield the reason."""
    if not usage["devices"]:
        yield [Piece(no_device(usage))]
    for device in usage["devices"]:
        yield [Piece(printable("  ".join(filter(None, (device["label"], device["name"], device["short_uuid"])))))]
        yield [Piece(f"  {readings(device)}")]
        if device["memory_total"]:
            yield _bar(device)
        for share in device["shares"]:
            glyph = Piece(_GLYPHS[share["kind"]], share["colour"])
            yield [Piece("  "), glyph, Piece(printable(f" {size(share['memory']):>8}  {holder(share)}"))]


def no_device(usage: Mapping[str, Any]) -> str:
    """Return the sentence for a usage without devices, with the reason."""
    return f"No GPU: {usage['trouble']}."


def readings(device: Mapping[str, Any]) -> str:
    """Return the available readings, such as "11.2 GB / 80.0 GB · 35 % busy · 54 °C · 210 / 700 W".

    If the device cannot be read, return the reason.
    """
    if device["trouble"]:
        return str(device["trouble"])
    texts = [f"{size(device['memory_used'])} / {size(device['memory_total'])}"]
    for key, form in (("utilisation", "{} % busy"), ("temperature", "{} °C")):
        if device[key] is not None:
            texts.append(form.format(device[key]))
    if device["power"] is not None:
        limit = "" if device["power_limit"] is None else f" / {device['power_limit']:.0f}"
        texts.append(f"{device['power']:.0f}{limit} W")
    if not device["allowed"]:
        texts.append("not allowed by your administrator")
    elif device["sliced"]:
        texts.append("MIG mode: use a slice")
    return " · ".join(texts)


def holder(share: Mapping[str, Any]) -> str:
    """Return the name of a share's holder for a legend, and the file name of its notebook if that differs."""
    notebook = share["notebook"].rpartition("/")[2]
    texts = [share["name"], *([notebook] if notebook not in ("", share["name"]) else [])]
    return " · ".join([*texts, *(["over its memory limit"] if share["over_limit"] else [])])


def _bar(device: Mapping[str, Any]) -> list[Piece]:
    """Return a bar of the device's memory. The end of each share is rounded, so that rounding errors do not add up."""
    pieces, so_far, at = [Piece("  [")], 0, 0
    for share in device["shares"]:
        so_far += share["memory"] or 0
        end = min(_WIDTH, round(_WIDTH * so_far / device["memory_total"]))
        pieces.append(Piece(_GLYPHS[share["kind"]] * (end - at), share["colour"]))
        at = end
    return [*pieces, Piece(f"{' ' * (_WIDTH - at)}]")]
