"""The author's modules are compiled from their source at every start.

Python takes a compiled file for current when the source has the same size and the same whole second of change, so what
was edited and loaded again at once would run as it was. Nor is anything written into the user's folder.
"""

from __future__ import annotations

import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import PathEntryFinder
    from types import CodeType


def import_from(folder: Path) -> None:
    """Put the folder first on the path; what is imported from it or below is compiled from source.

    All but an environment in it, whose packages nobody edits and whose compilation may take minutes.
    """
    python = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_SourceLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def hook(path: str) -> PathEntryFinder:
        below = Path(path)
        if not below.is_relative_to(folder) or "site-packages" in below.relative_to(folder).parts:
            raise ImportError(f"not the model's: {path}")  # how a hook says that the next one is to be asked
        return python(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()  # the working directory may be the folder, and was looked into before
    sys.path.insert(0, str(folder))


class _SourceLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
