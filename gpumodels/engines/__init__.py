"""Engines, which run instances. Other packages add engines through the entry point group `gpumodels.engines`."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from gpumodels import lazy, settings
from gpumodels.errors import EngineUnavailable, SettingsError

if TYPE_CHECKING:
    from gpumodels.engines import artifacts
    from gpumodels.engines.artifacts import Artifact, ArtifactName
    from gpumodels.engines.base import Ending, Engine, Instance, LaunchPlan
    from gpumodels.engines.forward import NotStarted
    from gpumodels.lease import InstanceDirectory, InstanceRecord

_HOMES = {
    "Artifact": "artifacts",
    "ArtifactName": "artifacts",
    "Ending": "base",
    "Engine": "base",
    "Instance": "base",
    "LaunchPlan": "base",
    "NotStarted": "forward",
}

__all__ = [
    "FIRST",
    "Artifact",
    "ArtifactName",
    "Ending",
    "Engine",
    "Instance",
    "LaunchPlan",
    "NotStarted",
    "artifacts",
    "attach",
    "check_configured",
    "distributions",
    "engine",
    "names",
]

__getattr__ = lazy.names(__name__, _HOMES)

#: The engine that `auto` tries first; its `fallback` comes next.
FIRST = "docker"

_BUILT_IN = {
    "docker": "gpumodels.engines.docker.engine:DockerEngine",
    "process": "gpumodels.engines.process:ProcessEngine",
    "fake": "gpumodels.engines.fake:FakeEngine",
}


def engine(name: str) -> Engine:
    """Return a new engine object of that name, without checking that the engine can be used.

    Raises EngineUnavailable, which lists all engines, if no engine has that name.
    """
    path = _BUILT_IN.get(name)
    if path is not None:
        module, _, attribute = path.partition(":")
        made: Engine = getattr(import_module(module), attribute)()
        return made
    for found in entry_points(group="gpumodels.engines", name=name):
        added: Engine = found.load()()
        return added
    raise EngineUnavailable(_unknown(name))


def attach(record: InstanceRecord, directory: InstanceDirectory) -> Instance:
    """Return the handle of a running instance, whichever process started it.

    Raises EngineUnavailable if the engine of the record is not installed here.
    """
    return engine(record.engine).attach(record, directory)


def check_configured(name: str) -> str:
    """Return `name`, the value of the setting `engine`. Raises SettingsError unless it is "auto" or names an engine."""
    if name != "auto" and name not in _BUILT_IN and name not in names():
        raise SettingsError(f"{settings.origin('engine')}: {_unknown(name)}")
    return name


def names() -> list[str]:
    """Return the names of all engines, built-in ones first."""
    return [*_BUILT_IN, *sorted(found.name for found in entry_points(group="gpumodels.engines"))]


def distributions() -> list[str]:
    """Return the names of the installed packages that add engines."""
    found = {each.dist.name for each in entry_points(group="gpumodels.engines") if each.dist is not None}
    return sorted(found)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, names(), 1)
    known = [each for each in names() if each != "fake"]  # the fake engine is only for tests
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"There is no engine {name!r}{hint} There are: auto, {', '.join(known)}."
