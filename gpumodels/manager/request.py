"""What a load asks for, in comparable form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.catalog.spec import ModelSpec

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

    @classmethod
    def of(cls, spec: ModelSpec, gpu: str, engine: str, env: Mapping[str, str]) -> Request:
        return cls(spec, _content(spec), gpu, engine, tuple(sorted(env.items())))


def _content(spec: ModelSpec) -> _Content:
    """The folder's files as they are now: an edited model is another model."""
    found = []
    for path in sorted(spec.folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            status = path.stat()
            found.append((str(path.relative_to(spec.folder)), status.st_size, status.st_mtime_ns))
    return tuple(found)
