"""Search for model folders: first the user's own, then those of other packages, then the built-in ones."""

from __future__ import annotations

import difflib
import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.catalog.folder import TOML, read_folder
from gpumodels.errors import GpumodelsError, ModelNotFound
from gpumodels.settings import data_dir, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.settings import Settings

#: Entry points of this group name a package whose directory holds model folders, such as `my_package.models`.
ENTRY_POINT_GROUP = "gpumodels.models"

_PACKAGE = Path(__file__).resolve().parents[1]


def find(ref: str | Path, known: Settings | None = None) -> ModelSpec:
    """Return the model with a name (`ctpn`), or in the folder at a path (`./my_model`).

    A `Path`, and any text with a `/`, is a path. `known` holds the settings; None reads them. Raises ModelNotFound,
    with similar names, if there is no such model. Raises ModelFolderError, with file, line and field, if `model.toml`
    has a mistake.
    """
    if isinstance(ref, Path) or _is_path(ref):
        # Path.expanduser raises an error for an unknown user. os.path.expanduser leaves such a path as it is, and the
        # folder is not found.
        return read_folder(Path(os.path.expanduser(ref)))  # noqa: PTH111
    for name, _, folder in _catalog(known):
        if name == ref:
            return read_folder(folder)
    raise ModelNotFound(_unknown(ref))


def names() -> list[tuple[str, str]]:
    """Return name and summary of every model that `find` knows, sorted by name. Run no code of a model.

    If a `model.toml` cannot be parsed, its folder's name stands in the list. `find` with that name raises an error with
    the reason.
    """
    found: dict[str, str] = {}
    for name, summary, _ in _catalog():
        found.setdefault(name, summary)
    return sorted(found.items())


def _is_path(ref: str) -> bool:
    return os.sep in ref or ref.startswith("~") or ref in (os.curdir, os.pardir)


def _catalog(known: Settings | None = None) -> Iterator[tuple[str, str, Path]]:
    """Yield name, summary and folder of every model. Of several models with the same name, callers use the first."""
    for source in _sources(known or settings()):
        try:
            folders = sorted(path.parent for path in source.glob(f"[!.]*/{TOML}"))
        except OSError:
            continue
        for folder in folders:
            yield *_title(folder), folder


def _title(folder: Path) -> tuple[str, str]:
    try:
        table = tomllib.loads((folder / TOML).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return folder.name, f"({TOML} cannot be read)"
    name, summary = table.get("name"), table.get("summary")
    return name if isinstance(name, str) else folder.name, summary if isinstance(summary, str) else ""


def _sources(known: Settings) -> Iterator[Path]:
    """Yield the directories that hold model folders, in the order in which they are searched."""
    yield from _own_source(known)
    yield from _package_sources()
    shipped, checkout = _PACKAGE / "images", _PACKAGE.parent
    if shipped.is_dir():
        yield shipped
    elif (checkout / "pyproject.toml").is_file():
        yield checkout / "images"


def _own_source(known: Settings) -> Iterator[Path]:
    if own := known.models:
        yield own
        return
    with suppress(GpumodelsError):  # a user without a home directory has no models there
        yield data_dir() / "models"


def _package_sources() -> Iterator[Path]:
    """Yield the directories of model folders that other packages register (`ENTRY_POINT_GROUP`).

    Do not import these packages: one could be slow, or raise an error.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not needed at kernel start
    from importlib.util import find_spec  # noqa: PLC0415

    for entry in entry_points(group=ENTRY_POINT_GROUP):
        top, *rest = entry.module.split(".")
        spec = find_spec(top)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location, *rest)


def _unknown(ref: str) -> str:
    if os.path.isfile(Path(ref, TOML)):  # noqa: PTH113 - unlike Path.is_file, this never raises
        return f"no model is called {ref!r}, but there is a folder of that name here: write ./{ref}"
    known = [name for name, _ in names()]
    near = difflib.get_close_matches(ref.lower(), known)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    known_are = f"Known are: {', '.join(known) or 'none'}."
    return f"no model is called {ref!r}{hint} {known_are} A model folder of your own is named by its path: ./my_model"
