"""Environments of the process engine: one for each set of requirements, made once with uv."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from gpumodels.catalog.cache import cache_dir
from gpumodels.engines import payload
from gpumodels.engines.mirrors import Mirrors
from gpumodels.errors import BuildFailed, EngineUnavailable
from gpumodels.lease.locks import flocked

if TYPE_CHECKING:
    from pathlib import Path

    from gpumodels.engines.base import Progress

_SHOWN_LINES = 20


def python_with(requirements: tuple[str, ...], model: str, progress: Progress, *, fresh: bool = False) -> Path:
    """The interpreter of an environment that holds `requirements` (PEP 508) and what the model server needs.

    Two loads at once make it once. Raises BuildFailed with uv's last lines; a failed environment is not left behind.
    """
    wanted = sorted({*requirements, *payload.REQUIREMENTS})
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:16]
    place = cache_dir() / "environments" / key
    python, complete = place / "bin" / "python", place / "complete"
    if complete.exists() and not fresh:
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    with flocked(place.with_suffix(".lock"), exclusive=True):
        if complete.exists() and not fresh:
            return python
        shutil.rmtree(place, ignore_errors=True)
        try:
            _make(place, python, wanted, model, progress)
            complete.touch()
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    return python


def _make(place: Path, python: Path, wanted: list[str], model: str, progress: Progress) -> None:
    uv = _uv()
    progress(f"making an environment for {model}", None)
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(place)], model, progress)
    _run([uv, "pip", "install", "--no-progress", "--python", str(python), *wanted], model, progress)


def _uv() -> str:
    from uv import find_uv_bin  # noqa: PLC0415

    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        raise EngineUnavailable(
            "The process engine needs uv, which came with gpumodels and is gone. Reinstall it: `pip install uv`."
        ) from None


def _run(command: list[str], model: str, progress: Progress) -> None:
    """Run uv, showing its lines as they come; its process is gone when this returns, also by an interrupt."""
    lines: list[str] = []
    environment = {**os.environ, **Mirrors.from_environment().for_uv()}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                progress(f"installing for {model}: {line.strip()}", None)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        tail = "\n".join(lines[-_SHOWN_LINES:])
        raise BuildFailed(
            f"The environment of {model!r} could not be made. Mend `requirements` in its model.toml, or the network. "
            f"uv said:\n{tail}"
        )
