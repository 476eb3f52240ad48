"""What was made for models and can be made again: images, environments, weights. What nobody uses can be removed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gpumodels.catalog.use import alone
from gpumodels.cleanup import cached
from gpumodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpumodels.engines.docker.storage import StoredImage

__all__ = ["KINDS", "Prunable", "Removed", "Survey", "alone", "remove", "survey"]

KINDS = ("images", "environments", "weights")


@dataclass(frozen=True)
class Prunable:
    """One thing that could be removed: the bytes that this frees, and who uses it ("" for nobody: it may go)."""

    kind: str
    name: str
    size: int
    used_by: str
    remove: Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Survey:
    """All there is, and why some of it could not be looked at."""

    items: tuple[Prunable, ...]
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removed:
    """How many things went, the bytes that came free, and what went wrong."""

    removed: int
    freed: int
    troubles: tuple[str, ...] = ()


def survey(kinds: Iterable[str] = KINDS) -> Survey:
    """Everything of these kinds that we made, by label and by path; to be called within `alone()`."""
    wanted, items, troubles = set(kinds), [], []
    if "images" in wanted:
        try:
            items += _images()
        except (EngineError, ImportError) as error:
            troubles.append(f"Images were not looked at. {error}")
    if wanted & {"environments", "weights"}:
        found = cached.Cached()
        parts = found.environments() if "environments" in wanted else []
        parts += found.weights() if "weights" in wanted else []
        items += [Prunable(part.kind, part.name, part.size, part.used_by, part.remove) for part in parts]
    return Survey(tuple(items), tuple(troubles))


def remove(items: Sequence[Prunable]) -> Removed:
    """Remove those of `items` that nobody uses; to be called within `alone()`.

    An image that others are made of goes after them, so it is tried again as long as anything goes.
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
    from gpumodels.engines.docker import storage  # noqa: PLC0415  docker-py, for those who look at images

    stored = storage.Storage()
    return [
        Prunable("image", _called(image), image.size, image.used_by, partial(stored.remove, image))
        for image in stored.images()
    ]


def _called(image: StoredImage) -> str:
    return ", ".join(image.names) or f"{image.model} {image.id.removeprefix('sha256:')[:12]}, no longer named"


def _stored(items: Iterable[Prunable]) -> int | None:
    """Bytes of all images; None where none of the items is one, or Docker does not tell."""
    if any(item.kind == "image" for item in items):
        from gpumodels.engines.docker import storage  # noqa: PLC0415

        with suppress(EngineError):
            return storage.Storage().total()
    return None
