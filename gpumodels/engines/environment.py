"""Environments of the process engine: one for each set of requirements, made once with uv."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.catalog import making
from gpumodels.engines import payload, program
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed, EngineUnavailable
from gpumodels.lease import flocked
from gpumodels.settings import cache_dir

if TYPE_CHECKING:
    from gpumodels.catalog import Progress

_SHOWN_LINES = 20
_NO_ROOM = ("No space left on device", "Disk quota exceeded")
#: What a notebook's kernel sets, so that its cells are coloured; texts of ours are read where colours are mere noise.
COLOURING = ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR")


def python_with(requirements: tuple[str, ...], model: str, progress: Progress, *, fresh: bool = False) -> Path:
    """The interpreter of an environment that holds `requirements` (PEP 508) and what the model server needs.

    Two loads at once make it once. It appears whole, by a rename, so one that failed is not left behind, and one that
    is made `fresh` takes the place of the old one only when it is good.
    Raises BuildFailed with uv's last lines, EngineError where the cache cannot take it.
    """
    wanted = sorted({*requirements, *payload.REQUIREMENTS})
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:16]
    place = cache_dir() / "environments" / key
    with making(f"The environment of {model!r}"):
        if fresh or not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with flocked(place.with_suffix(".lock"), exclusive=True):
                if fresh or not place.exists():  # else another load made it while we waited
                    _make(place, wanted, model, progress)
    return place / "bin" / "python"


def _make(place: Path, wanted: list[str], model: str, progress: Progress) -> None:
    uv = _uv()
    progress(f"making an environment for {model}", None)
    _remove_unfinished(place)
    try:  # around the making as well: an interrupt comes also in the moment after it, before the name is known
        # A name of its own, because the uv of a notebook that was killed may still be writing under another one.
        new = Path(tempfile.mkdtemp(prefix=_unfinished(place), dir=place.parent))
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(new)], model, progress)
        python = str(new / "bin" / "python")
        _run([uv, "pip", "install", "--no-progress", "--python", python, *wanted], model, progress)
        if place.exists():
            place.rename(place.with_name(f"{_unfinished(place)}old"))
        new.rename(place)
    finally:
        _remove_unfinished(place)


def _unfinished(place: Path) -> str:
    return f"{place.name}.making-"


def _remove_unfinished(place: Path) -> None:
    for left in place.parent.glob(f"{_unfinished(place)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _uv() -> str:
    from uv import find_uv_bin  # noqa: PLC0415

    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        raise EngineUnavailable(
            "The process engine needs uv, which came with gpumodels and is gone. Reinstall it: `pip install uv`."
        ) from None


def _run(command: list[str], model: str, progress: Progress) -> None:
    """Run uv, showing its lines as they come; it and what it started are gone when this ends, also by an interrupt."""
    inherited = {name: value for name, value in os.environ.items() if name not in COLOURING}
    environment = {**inherited, **Mirrors.of_user().for_uv(), "NO_COLOR": "1"}
    code, lines = program.run(
        [*command, "--color", "never"],
        lambda line: progress(f"installing for {model}: {line}", None),
        environment=environment,
    )
    if code:
        tail = "\n".join(lines[-_SHOWN_LINES:])
        advice = "Mend `requirements` in its model.toml, or the network."
        if any(words in line for line in lines for words in _NO_ROOM):
            advice = f"The disk is full: free some space below {cache_dir().parent}, or set XDG_CACHE_HOME elsewhere."
        raise BuildFailed(f"The environment of {model!r} could not be made. {advice} uv said:\n{tail}")
