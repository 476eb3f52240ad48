"""What runs in the browser: parts of one JavaScript module, in this order, and its style."""

from __future__ import annotations

import json
from importlib.resources import files

from gpumodels.attribution.colours import PALETTE

_PARTS = ("text", "source", "watch", "devices", "row", "models", "loading", "views")


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


SCRIPT = "\n".join([f"const COLOURS = {json.dumps(PALETTE)};", *(_read(f"{part}.js") for part in _PARTS)])
STYLE = _read("style.css")
