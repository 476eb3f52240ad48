"""Pruning: removing images, environments and weights that no model uses. All of them can be made again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gpumodels.catalog import cache_alone
from gpumodels.cleanup.cache import Cache
from gpumodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from gpumodels.engines.docker.storage import StoredImage

KINDS = ("images", "environments", "weights")


@dataclass(frozen=True)
class Prunable:
    """A thing that could be removed, the bytes that its removal frees, and its user ("" if it is unused)."""

    kind: str
    name: str
    size: int
    used_by: str
    remove: Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Survey:
    """All things that could be removed, and the reasons why some could not be listed."""

    items: tuple[Prunable, ...]
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removed:
    """The number of removed things, the freed bytes, and the reasons why some could not be removed."""

    removed: int
    freed: int
    troubles: tuple[str, ...] = ()


def alone() -> AbstractContextManager[None]:
    """Return a context in which no load uses the cache. Raises EngineError if a load uses it now."""
    return cache_alone()


def survey(kinds: Iterable[str] = KINDS) -> Survey:
    """List all things of these kinds that gpumodels made. Call it within `alone()`."""
    wanted, items, troubles = set(kinds), [], []
    if "images" in wanted:
        try:
            items += _images()
        except (EngineError, ImportError) as error:
            troubles.append(f"Images were not looked at. {error}")
    if wanted & {"environments", "weights"}:
        cache = Cache()
        parts = cache.environments() if "environments" in wanted else []
        parts += cache.weights() if "weights" in wanted else []
        items += [Prunable(part.kind, part.name, part.size, part.used_by, part.remove) for part in parts]
    return Survey(tuple(items), tuple(troubles))


def remove_unused(items: Sequence[Prunable]) -> Removed:
    """Remove the unused things among `items`. Call it within `alone()`.

    An image can be removed only after the images that are based on it. So the remaining things are tried again, until a
    round removes nothing.
    """
    wanted = [item for item in items if not item.used_by]
    before, pending, freed, reasons = _stored(wanted), wanted, 0, dict[str, str]()
    while pending:
        left = []
        for item in pending:
            try:
                item.remove()
            except (EngineError, OSError) as error:
                reasons[item.name] = str(error)
                left.append(item)
            else:
                freed += 0 if item.kind == "image" else item.size
        if len(left) == len(pending):
            break
        pending = left
    if before is not None and (after := _stored(wanted)) is not None:
        freed += max(0, before - after)
    troubles = tuple(f"{item.kind} {item.name} stays: {reasons[item.name]}" for item in pending)
    return Removed(len(wanted) - len(pending), freed, troubles)


def _images() -> list[Prunable]:
    from gpumodels.engines.docker import storage  # noqa: PLC0415  this imports docker-py, which only images need

    stored = storage.Storage()
    return [
        Prunable("image", _image_name(image), image.size, image.used_by, partial(stored.remove, image))
        for image in stored.images()
    ]


def _image_name(image: StoredImage) -> str:
    return ", ".join(image.names) or f"{image.model} {image.id.removeprefix('sha256:')[:12]}, no longer named"


def _stored(items: Iterable[Prunable]) -> int | None:
    """Return the disk space of all Docker images, in bytes. None if `items` has no image or Docker does not answer."""
    if any(item.kind == "image" for item in items):
        from gpumodels.engines.docker import storage  # noqa: PLC0415

        with suppress(EngineError):
            return storage.Storage().total()
    return None
