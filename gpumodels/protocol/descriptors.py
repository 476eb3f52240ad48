"""File descriptors that stay open as long as somebody uses them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpumodels.protocol import files

if TYPE_CHECKING:
    from pathlib import Path


class Descriptor:
    """A file descriptor that is closed with its last reference.

    A client may be closed while calls of other threads end. If the number were closed under them, it might stand for
    another file by then.
    """

    _close = staticmethod(os.close)  # at the interpreter's end the module may be empty already

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def directory(path: Path) -> Descriptor:
    """Open a directory, for use as `dir_fd`. Raises OSError where there is none."""
    return Descriptor(files.open_directory(path))
