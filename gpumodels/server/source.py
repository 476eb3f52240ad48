"""Import of the author's modules, which are compiled from their source at every start.

Python takes a compiled file for current if the source has the same size and the same whole second of change. Code that
was edited and loaded again within that second would run as it was before. Nothing is written into the user's folder.
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
    """Put the folder first on the path, and compile what is imported from it or below.

    Packages of an environment inside the folder are left out: nobody edits them, and compiling may take minutes.
    """
    python = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_SourceLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def hook(path: str) -> PathEntryFinder:
        below = Path(path)
        if not below.is_relative_to(folder) or "site-packages" in below.relative_to(folder).parts:
            raise ImportError(f"not the model's: {path}")  # asks Python to try the next hook
        return python(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()  # which knows the folder already if it is the working directory
    sys.path.insert(0, str(folder))


class _SourceLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
