"""Descriptors of an instance's directories and socket that live as long as somebody uses them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpumodels.protocol import files

if TYPE_CHECKING:
    from pathlib import Path


class Descriptor:
    """Closed with its last reference and not before.

    A client may be closed while calls of other threads end, and a number closed under them might by then stand
    for something else.
    """

    _close = staticmethod(os.close)  # at the interpreter's end the module may be empty already

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        if self.fd >= 0:
            self._close(self.fd)


def directory(path: Path) -> Descriptor:
    """Stands for the directory."""
    return Descriptor(files.open_directory(path))


def server_socket(within: Descriptor, name: str) -> Descriptor:
    """Stands for the socket of that name, as it is now; raises BadFile, or OSError where there is none."""
    return Descriptor(files.open_socket(within.fd, name))
