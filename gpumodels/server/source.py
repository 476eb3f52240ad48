"""Import of the author's modules. They are compiled from their source at every start.

Python uses a compiled file (`.pyc`) if the size and the time of change of the source are the same, in whole seconds.
So code that is edited and loaded again within a second could run in its old form. Another reason is that Python would
write compiled files into the user's folder.
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
    """Put the folder first on `sys.path`, and compile each module that is imported from it or from below it.

    Packages of an environment inside the folder use their compiled files. They are not edited, and compiling them may
    take minutes.
    """
    python = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_SourceLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def hook(path: str) -> PathEntryFinder:
        below = Path(path)
        if not below.is_relative_to(folder) or "site-packages" in below.relative_to(folder).parts:
            raise ImportError(f"not the model's: {path}")  # Python then tries the next hook
        return python(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()  # it has an entry for the folder already if that is the working directory
    sys.path.insert(0, str(folder))


class _SourceLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)
