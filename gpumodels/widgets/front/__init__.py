"""The browser's side of the widgets: the parts of one JavaScript module, in this order, and its style."""

from __future__ import annotations

from importlib.resources import files

_PARTS = ("presentation", "text", "source", "watch", "devices", "row", "models", "loading", "views")


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


SCRIPT = "\n".join(_read(f"{part}.js") for part in _PARTS)
STYLE = _read("style.css")
