"""Copying and hashing of files, a piece at a time: Ctrl-C takes effect between pieces, and memory use stays small."""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING

from gpumodels.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

_PIECE = 1 << 20


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy the rest of `source` to `target`."""
    while piece := source.read(_PIECE):
        target.write(piece)


def check_sha256(path: Path, expected: str, what: str) -> None:
    """Raise WeightsError unless the file has the SHA-256 `expected`. An empty `expected` allows any file.

    `what` is the name of the file in the message.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    if expected and digest.hexdigest() != expected:
        raise WeightsError(
            f"{what} has SHA-256 {digest.hexdigest()}, not {expected} as pinned; "
            "try again: if it happens again, the published file was changed"
        )
