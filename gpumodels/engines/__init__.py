"""Engines: what runs instances. Other packages add one through the entry point group `gpumodels.engines`."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from gpumodels.errors import EngineUnavailable

if TYPE_CHECKING:
    from gpumodels.engines.base import Engine

_BUILT_IN = {
    "docker": "gpumodels.engines.docker.engine:DockerEngine",
    "process": "gpumodels.engines.process:ProcessEngine",
    "fake": "gpumodels.engines.fake:FakeEngine",
}


def engine(name: str) -> Engine:
    """A new engine object of that name, unchecked; raises EngineUnavailable naming those that exist."""
    path = _BUILT_IN.get(name)
    if path is not None:
        module, _, attribute = path.partition(":")
        made: Engine = getattr(import_module(module), attribute)()
        return made
    for found in entry_points(group="gpumodels.engines", name=name):
        added: Engine = found.load()()
        return added
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise EngineUnavailable(f"There is no engine {name!r}; {hint}There are: auto, {', '.join(names())}.")


def names() -> list[str]:
    """The names of all engines, built-in ones first."""
    return [*_BUILT_IN, *sorted(found.name for found in entry_points(group="gpumodels.engines"))]
