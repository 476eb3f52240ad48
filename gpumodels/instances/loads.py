"""Loads of this user: those under way with how far they are, and those that failed, until somebody dismisses them."""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gpumodels.instances.place import runtime_directory
from gpumodels.lease import notes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Load:
    """One load, from its first word to its end. `began` is in seconds since the epoch."""

    id: str
    #: The model's name; as long as that is not known, what was asked for.
    model: str
    #: What loads it again, in a notebook; environment settings are left out, for they may be secret.
    line: str
    #: Whose load it is, as in `lease.record.Owner`.
    notebook: str
    kernel_id: str
    pid: int
    began: float
    #: What goes on now, and how much of that is done (0 to 1) where it is known.
    text: str = ""
    fraction: float | None = None
    #: Why it failed, in a sentence; "" while it is under way.
    failed: str = ""
    #: What the user should know of it, and when it failed what was printed last.
    log: tuple[str, ...] = ()
    #: The instances that it concerns: those that it starts, and before them one that slept and is woken by it.
    instances: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """How far it is, for display."""
        done = "" if self.fraction is None else f" ({self.fraction:.0%})"
        return f"{self.text or 'loading'}{done}"


_FIELDS = {field.name for field in fields(Load)}


def new_id(model: object) -> str:
    """An id for a load of that model, made of letters, digits and -."""
    name = re.sub(r"[^a-z0-9]+", "-", str(model).lower()).strip("-")[-40:]
    return f"{name}-{secrets.token_hex(5)}".lstrip("-")


def loads(runtime: Path | None = None) -> list[Load]:
    """Every load of this user that is under way or failed, oldest first. Raises RuntimeDirectoryError.

    `runtime` is the path of the runtime directory, where that is known.
    """
    found = [_read(note) for note in notes.standing(runtime or runtime_directory().path, notes.LOAD)]
    return sorted((load for load in found if load is not None), key=lambda load: load.began)


def under_way() -> list[Load]:
    """Those that have not failed."""
    return [load for load in loads() if not load.failed]


def dismiss(load_id: str) -> None:
    """Forget a load that failed; raises KeyError where there is none of that id."""
    if load_id not in [load.id for load in loads() if load.failed]:
        raise KeyError(load_id)
    notes.remove(runtime_directory().path, notes.LOAD, load_id)


def _read(note: Mapping[str, Any]) -> Load | None:
    """None for what another gpumodels wrote that we cannot read."""
    with suppress(TypeError):
        known = {name: value for name, value in note.items() if name in _FIELDS}
        return Load(**{**known, "log": tuple(note.get("log", ())), "instances": tuple(note.get("instances", ()))})
    return None
