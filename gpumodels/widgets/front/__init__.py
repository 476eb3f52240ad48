"""The browser side of the widgets: the parts of one JavaScript module, and its style sheet."""

from __future__ import annotations

from importlib.resources import files

#: The parts of the module, in the order in which they are joined.
_PARTS = ("presentation", "text", "source", "watch", "devices", "row", "models", "loading", "views")


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


SCRIPT = "\n".join(_read(f"{part}.js") for part in _PARTS)
STYLE = _read("style.css")
