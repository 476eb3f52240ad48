"""Reading the lines of a log while it grows."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_POLL = 0.1  # seconds between two readings of the log


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of the text that the chunks form together, each line when it is complete."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def chunks(log: Path, skip: int, over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield the content of a log file after its first `skip` bytes. Then yield new content until `over()` is True.

    A full log is renamed, and a new file takes its name. The old file is then read to its end first.
    """
    with suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(skip)
        while True:
            ended = over()  # called before reading, so that everything written before the end is read
            yield from iter(lambda: file.read(1 << 16), b"")
            if _replaced(log, file):
                yield from chunks(log, 0, over)
                return
            if ended:
                return
            time.sleep(_POLL)


def _replaced(log: Path, file: BinaryIO) -> bool:
    with suppress(OSError):
        return log.stat().st_ino != os.fstat(file.fileno()).st_ino
    return False  # the log was removed, so no new file follows
