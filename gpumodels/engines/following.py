"""Reading a log that grows, line by line."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_LOOKED_EVERY = 0.1  # seconds


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines that the chunks make together, each as soon as it is whole; the last one at the end."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def chunks(log: Path, skip: int, over: Callable[[], bool]) -> Iterator[bytes]:
    """What stands behind the first `skip` bytes of a log file and what is added to it, until `over()`.

    A log that was full is renamed and begun anew: the old one is then read to its end first.
    """
    with suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(skip)
        while True:
            ended = over()  # asked before reading: what was written until then is read
            yield from iter(lambda: file.read(1 << 16), b"")
            if _replaced(log, file):
                yield from chunks(log, 0, over)
                return
            if ended:
                return
            time.sleep(_LOOKED_EVERY)


def _replaced(log: Path, file: BinaryIO) -> bool:
    with suppress(OSError):
        return log.stat().st_ino != os.fstat(file.fileno()).st_ino
    return False  # removed: nothing will follow
