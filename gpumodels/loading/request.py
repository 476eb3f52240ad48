"""What a load asks for: checked before anything begins, and in comparable form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.catalog import folder_files, sets_itself
from gpumodels.errors import LoadRefused

if TYPE_CHECKING:
    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.loading.asked import Asked

_MOST_REPLICAS = 64

#: Files of a folder: path inside, size in bytes, time of change in ns.
_Content = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Request:
    """Two equal requests ask for the same thing, so a running model of the first answers the second."""

    spec: ModelSpec
    content: _Content
    gpu: str
    engine: str
    env: tuple[tuple[str, str], ...]
    #: Where it is served to others' clients, "" for nowhere.
    serve: str = ""
    replicas: int = 1
    #: Bytes of GPU memory that each instance may use.
    memory: int | None = None

    @classmethod
    def of(cls, spec: ModelSpec, asked: Asked) -> Request:
        env = tuple(sorted(asked.env.items()))
        return cls(spec, _content(spec), str(asked.gpu), asked.engine, env, asked.serve, asked.replicas, asked.memory)


def check(model: object, engine: object, timeout: object, env: object) -> None:
    """Raise LoadRefused for what no load can mean, naming what was given and what is expected."""
    if not isinstance(model, (str, Path)):
        raise LoadRefused(f"A model is named by text or a path, not by {model!r}.")
    if not isinstance(engine, str):
        raise LoadRefused(f"{model}: engine must be text such as 'docker', 'process' or 'auto', not {engine!r}.")
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or math.isnan(timeout) or timeout <= 0:  # type: ignore[arg-type, operator]
        raise LoadRefused(f"{model}: timeout must be a number of seconds above 0, not {timeout!r}.")
    if not isinstance(env, Mapping):
        raise LoadRefused(f"{model}: env must be a dict of text to text, not {env!r}.")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise LoadRefused(f"{model}: {name!r}: {value!r} is no environment setting; both must be text.")
        if sets_itself(name):
            raise LoadRefused(f"{model}: env: {name} is set by gpumodels itself.")


def check_replicas(model: object, replicas: object, others: Mapping[str, object]) -> None:
    """Raise LoadRefused for a number of replicas that means nothing, or not with one of the `others` that is given."""
    if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= _MOST_REPLICAS:
        raise LoadRefused(f"{model}: replicas must be a whole number from 1 to {_MOST_REPLICAS}, not {replicas!r}.")
    for name, given in others.items():
        if replicas > 1 and given:
            raise LoadRefused(
                f"{model}: replicas are this notebook's own, so they do not go with {name}: leave one of the two out."
            )


def _content(spec: ModelSpec) -> _Content:
    """The folder's files as they are now: an edited model is another model."""
    found = []
    for name, path in folder_files(spec):
        with suppress(FileNotFoundError):  # removed since it was listed
            status = path.stat()
            found.append((name, status.st_size, status.st_mtime_ns))
    return tuple(found)
