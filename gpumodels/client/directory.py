"""A descriptor of a directory that lives as long as somebody uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpumodels.protocol import files

if TYPE_CHECKING:
    from pathlib import Path


class Directory:
    """Closed with its last reference and not before.

    A client may be closed while calls of other threads end, and a number closed under them might by then stand
    for another directory.
    """

    def __init__(self, path: Path) -> None:
        self.fd = -1
        self.fd = files.open_directory(path)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
