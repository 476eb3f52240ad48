"""Environments of the process engine. There is one for each set of requirements; uv makes it once."""

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
#: Environment variables with which a notebook's kernel turns on the colours of programs. Programs that gpumodels starts
#: do not inherit them, because their output goes to logs and progress lines, which have no colours.
COLOURING = ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR")


def python_with(requirements: tuple[str, ...], model: str, progress: Progress, *, fresh: bool = False) -> Path:
    """Return the interpreter of an environment with `requirements` (PEP 508) and those of the model server.

    The environment is made if it is missing or if `fresh` is set. Concurrent loads make it once. It is made under
    another name and renamed when it is complete, so a failure leaves nothing behind and keeps the old environment.
    `model` is the name of the model, for messages.

    Raises BuildFailed with uv's last lines, and EngineError if the environment cannot be written to the cache.
    """
    wanted = sorted({*requirements, *payload.REQUIREMENTS})
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:16]
    directory = cache_dir() / "environments" / key
    with making(f"The environment of {model!r}"):
        if fresh or not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with flocked(directory.with_suffix(".lock"), exclusive=True):
                if fresh or not directory.exists():  # another load may have made it while this one waited
                    _make(directory, wanted, model, progress)
    return directory / "bin" / "python"


def _make(directory: Path, wanted: list[str], model: str, progress: Progress) -> None:
    uv = _uv()
    progress(f"making an environment for {model}", None)
    _remove_unfinished(directory)
    try:  # around `mkdtemp` too: an interrupt may come after it has made the directory and before `new` is assigned
        # A new name each time. If a notebook was killed, its uv may still be writing under an earlier name.
        new = Path(tempfile.mkdtemp(prefix=_unfinished(directory), dir=directory.parent))
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(new)], model, progress)
        python = str(new / "bin" / "python")
        _run([uv, "pip", "install", "--no-progress", "--python", python, *wanted], model, progress)
        if directory.exists():
            directory.rename(directory.with_name(f"{_unfinished(directory)}old"))
        new.rename(directory)
    finally:
        _remove_unfinished(directory)


def _unfinished(directory: Path) -> str:
    return f"{directory.name}.making-"


def _remove_unfinished(directory: Path) -> None:
    for left in directory.parent.glob(f"{_unfinished(directory)}*"):
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
    """Run uv and show each line that it prints. On an interrupt, kill uv and its subprocesses.

    Raises BuildFailed with uv's last lines.
    """
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
