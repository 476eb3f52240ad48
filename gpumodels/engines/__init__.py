"""Engines: what runs instances. Other packages add one through the entry point group `gpumodels.engines`."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from gpumodels import settings
from gpumodels.errors import EngineUnavailable, SettingsError

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
    raise EngineUnavailable(_unknown(name))


def configured() -> str:
    """The name of the engine that the settings say; raises SettingsError where there is none of that name."""
    name = settings.settings().engine
    if name != "auto" and name not in _BUILT_IN and name not in names():
        raise SettingsError(f"{settings.origin('engine')}: {_unknown(name)}")
    return name


def names() -> list[str]:
    """The names of all engines, built-in ones first."""
    return [*_BUILT_IN, *sorted(found.name for found in entry_points(group="gpumodels.engines"))]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, names(), 1)
    known = [each for each in names() if each != "fake"]  # which is for tests
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"There is no engine {name!r}{hint} There are: auto, {', '.join(known)}."
