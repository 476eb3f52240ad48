"""The model server's output, copied from a pipe to a log that has a bound, so that `print` can never fill a disk."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes in a log and in the older one beside it, as Docker keeps for the containers.
LIMIT = 10_000_000
_CHUNK = 1 << 16
#: A pipe holds less than so many chunks; who writes on while we leave is not heard.
_LAST_CHUNKS = 16


def older(log: Path) -> Path:
    """Where the lines before those of `log` are, if there were more than fit."""
    return log.with_name(f"{log.name}.1")


class Log:
    """A pipe whose content goes to `path`, as this process's own output does from now on.

    What cannot be written is lost, silently: a model must not break by its log. Make it before the server is forked,
    `copy` afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._copying = threading.Lock()
        with suppress(OSError):
            self._open()

    def become_output(self) -> None:
        """In the forked server: let the pipe be its output."""
        os.dup2(self._write, 1)
        os.dup2(self._write, 2)

    def copy(self) -> None:
        """Copy from now on, in a thread."""
        os.close(self._write)
        threading.Thread(target=self._copy, daemon=True).start()

    def drain(self) -> None:
        """Copy what is in the pipe; waits for nobody who may hold its other end."""
        with suppress(BlockingIOError):  # it is empty
            for _ in range(_LAST_CHUNKS):
                self._copy_chunk()

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        while True:
            poll.poll()
            with suppress(BlockingIOError):  # the last lines were drained in between
                if not self._copy_chunk():
                    return

    def _copy_chunk(self) -> bool:
        """False at the end of the pipe; raises BlockingIOError where there is nothing now."""
        with self._copying:  # so that what one thread has read is written before the other one leaves
            chunk = os.read(self._read, _CHUNK)
            with suppress(OSError):
                if os.fstat(2).st_size + len(chunk) > LIMIT:
                    self._start_over()
                os.write(2, chunk)
            return bool(chunk)

    def _start_over(self) -> None:
        try:
            self.path.replace(older(self.path))
            self._open()
        except OSError:
            os.ftruncate(2, 0)

    def _open(self) -> None:
        log = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
