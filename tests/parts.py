"""Parts of a machine that some tests need besides Python packages. Without a part, a run leaves its tests out.

The run lists the missing parts. In CI no test is left out: a missing part fails its tests.
"""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.errors import EngineError
from tests import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


@dataclass(frozen=True)
class Part:
    """A part that a machine may lack, and the tests that need it."""

    name: str
    available: Callable[[], bool]
    needed_by: Callable[[pytest.Item], bool]


@functools.cache
def docker_answers() -> bool:
    try:
        engines.engine("docker").check()
    except EngineError:
        return False
    return True


def _chromium() -> bool:
    return bool(os.environ.get("CHROMIUM") or shutil.which("chromium"))


def _with_docker(item: pytest.Item) -> bool:
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "docker" in item.path.as_posix() or any(isinstance(each, str) and each == "docker" for each in parameters)


def _with_fake_nvml(item: pytest.Item) -> bool:
    around = [item.path, item.path.with_name("conftest.py")]
    return any(path.is_file() and "tests.fakes.nvml" in path.read_text() for path in around)


def _as_root(item: pytest.Item) -> bool:
    """Return True if a test becomes another user, starts a second daemon or needs mounts of its own."""
    return item.get_closest_marker("root") is not None or "integration/docker" in item.path.as_posix()


PARTS = (
    Part("a Docker Engine", docker_answers, _with_docker),
    Part("Chromium", _chromium, lambda item: "browser" in item.path.parts),
    Part("a C compiler (cc)", lambda: shutil.which("cc") is not None, _with_fake_nvml),
    Part("a memory cgroup", memory.available, lambda item: item.get_closest_marker("memory_cgroup") is not None),
    Part("root", lambda: os.getuid() == 0, _as_root),
)


def split(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item], list[str]]:
    """Return the tests to run, the tests to leave out, and a line for each missing part."""
    if os.environ.get("CI"):
        return items, [], []
    out: dict[str, list[pytest.Item]] = {}
    for part in PARTS:
        needing = [item for item in items if part.needed_by(item)]
        if needing and not part.available():
            out[part.name] = needing
    left = {item for needing in out.values() for item in needing}
    lines = [f"left out: {len(needing)} tests that need {name}" for name, needing in out.items()]
    return [item for item in items if item not in left], list(left), lines
