"""The loads of this user: those in progress, and failed ones, which stay until a user dismisses them."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gpumodels.instances.registry import runtime_directory
from gpumodels.lease import notes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Load:
    """One load, from its beginning to its end. `began` is in seconds since the epoch."""

    id: str
    #: The model's name. Until it is known, the name or path that was given to the load.
    model: str
    #: The `%load_model` line of the same load, without environment settings, which may be secret.
    line: str
    #: The notebook, kernel id and process id of the process that loads; see `lease.record.Owner`.
    notebook: str
    kernel_id: str
    pid: int
    began: float
    #: The current step, and its progress from 0 to 1; None if unknown.
    text: str = ""
    fraction: float | None = None
    #: The reason why the load failed, in a sentence; "" while it is in progress.
    failed: str = ""
    #: The notices of the load. If it failed, the last lines of output follow them.
    log: tuple[str, ...] = ()
    #: The ids of the instances that the load starts. If it wakes a model, the id of the sleeping instance is the first.
    instances: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The progress as text, such as "building (40%)"."""
        done = "" if self.fraction is None else f" ({self.fraction:.0%})"
        return f"{self.text or 'loading'}{done}"


_FIELDS = {field.name for field in fields(Load)}


def new_load_id(model: object) -> str:
    """Return an id for a load of a model. It consists of letters, digits and "-"."""
    name = re.sub(r"[^a-z0-9]+", "-", str(model).lower()).strip("-")[-40:]
    return f"{name}-{secrets.token_hex(5)}".lstrip("-")


def list_loads(runtime: Path | None = None) -> list[Load]:
    """Return all loads of this user that are in progress or failed, oldest first. Raises RuntimeDirectoryError.

    `runtime` is the path of the runtime directory, if it is known.
    """
    found = [_read(note) for note in notes.standing(runtime or runtime_directory().path, notes.LOAD)]
    return sorted((load for load in found if load is not None), key=lambda load: load.began)


def dismiss_load(load_id: str) -> None:
    """Remove the note of a failed load. Raises KeyError if no failed load has that id."""
    runtime = runtime_directory().path
    if load_id not in [load.id for load in list_loads(runtime) if load.failed]:
        raise KeyError(load_id)
    notes.remove(runtime, notes.LOAD, load_id)


def _read(note: Mapping[str, Any]) -> Load | None:
    """Return the load that a note describes, or None if another version wrote the note in a way unknown here."""
    with suppress(TypeError):
        known = {name: value for name, value in note.items() if name in _FIELDS}
        return Load(**{**known, "log": tuple(note.get("log", ())), "instances": tuple(note.get("instances", ()))})
    return None
