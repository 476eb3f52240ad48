"""Completion after our magics: names of models and folders, options, engines, GPUs."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher

from gpumodels.errors import GpumodelsError
from gpumodels.loading import OPTIONS
from gpumodels.magics.arguments import GPUS, LOAD, LOGS, MODELS, SLEEP, STOP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

_PARSERS = {
    "load_model": LOAD,
    "models": MODELS,
    "stop_model": STOP,
    "sleep_model": SLEEP,
    "model_logs": LOGS,
    "gpus": GPUS,
}
#: Options of %load_model that take a value, by flag.
_WITH_VALUE = {option.flag: option for option in OPTIONS if option.kind != "switch"}
#: `%load_model ct`, `load_model ct` (automagic) and `m = %load_model ct`, up to the cursor.
_LINE = re.compile(rf"(?:^\s*%?|=\s*%)(?P<magic>{'|'.join(_PARSERS)})\s+(?:(?P<before>.*)\s)?(?P<word>\S*)$")


@context_matcher()  # type: ignore[untyped-decorator]
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """Return the completions if the cursor is after one of our magics, and suppress those of IPython there.

    IPython calls this for every completion.
    """
    line = _LINE.search(context.text_until_cursor)
    if line is None:
        return {"completions": []}
    words: Iterable[str] = ()
    with suppress(GpumodelsError):  # such as wrong settings: the magic itself reports them when it runs
        words = _candidates(line["magic"], (line["before"] or "").split(), line["word"])
    return {
        "completions": [SimpleCompletion(text) for text in words if text.startswith(line["word"])],
        "matched_fragment": line["word"],
        "suppress": True,
        "ordered": True,
    }


def _candidates(magic: str, before: list[str], word: str) -> Iterable[str]:
    previous = before[-1] if before else ""
    if magic == "load_model" and (previous == "--as" or previous in _WITH_VALUE):
        return _values(previous)
    if word.startswith("-"):
        return [option for option in _PARSERS[magic].options() if option not in before or option == "--env"]
    if magic == "load_model":
        return _folders(word) if word.startswith((".", "/", "~")) else _names()
    return _loaded() if magic in ("stop_model", "sleep_model", "model_logs") else []


def _values(option: str) -> list[str]:
    if option == "--engine":
        from gpumodels import engines  # noqa: PLC0415

        return ["auto", *engines.names()]
    if option == "--gpu":
        from gpumodels import devices  # noqa: PLC0415

        return ["auto", "none", *(str(device.index) for device in devices.devices() if not device.is_mig)]
    return [*_WITH_VALUE[option].examples] if option in _WITH_VALUE else []


def _names() -> list[str]:
    from gpumodels import catalog  # noqa: PLC0415

    return [name for name, _ in catalog.names()]


def _loaded() -> list[str]:
    from gpumodels.instances import models  # noqa: PLC0415

    return sorted({model.name for model in models()})


def _folders(word: str) -> list[str]:
    """Return the paths of directories that begin with `word`. A slash follows those that are not model folders."""
    typed, _, start = word.rpartition("/")
    parent = Path(os.path.expanduser(f"{typed}/" if typed or word.startswith("/") else "."))  # noqa: PTH111
    if "/" not in word:
        return [f"{word}/"] if word in (".", "..", "~") else []
    try:
        found = sorted(entry for entry in parent.iterdir() if entry.is_dir())
    except OSError:
        return []
    shown = [entry for entry in found if start.startswith(".") or not entry.name.startswith((".", "__"))]
    return [f"{typed}/{entry.name}" + ("" if (entry / "model.toml").is_file() else "/") for entry in shown]
