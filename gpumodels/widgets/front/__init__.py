"""What runs in the browser: parts of one JavaScript module, in this order, and its style."""

from __future__ import annotations

from importlib.resources import files

from gpumodels.widgets import colours

_PARTS = ("text", "source", "watch", "devices", "models", "loading", "views")


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


SCRIPT = colours.SCRIPT + "\n".join(_read(f"{part}.js") for part in _PARTS)
STYLE = _read("style.css")
