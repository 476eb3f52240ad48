"""The output of a model server, copied from a pipe to a log of limited size, so that `print` can never fill a disk."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The most bytes of a log, and of the older log beside it. The Docker engine sets the same limit for containers.
LIMIT = 10_000_000
_CHUNK = 1 << 16
#: The most chunks that `drain` copies. It is more than a pipe holds; output that is written still later is lost.
_LAST_CHUNKS = 16


def older(log: Path) -> Path:
    """Return the path of the older log beside `log`. That file exists if the output was larger than `LIMIT`."""
    return log.with_name(f"{log.name}.1")


class Log:
    """A pipe for the output of a model server, copied to the file `path`. The output of this process goes there too.

    Output that cannot be written is lost silently: a full disk must not break a model. Make the object before the
    server is forked, and call `copy` afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._copying = threading.Lock()
        with suppress(OSError):
            self._open()

    def become_output(self) -> None:
        """Make the pipe the output of this process, the forked server."""
        os.dup2(self._write, 1)
        os.dup2(self._write, 2)

    def copy(self) -> None:
        """Start the thread that copies."""
        os.close(self._write)
        threading.Thread(target=self._copy, daemon=True).start()

    def drain(self) -> None:
        """Copy what is in the pipe now. Do not wait for processes that still hold its other end."""
        with suppress(BlockingIOError):  # the pipe is empty
            for _ in range(_LAST_CHUNKS):
                self._copy_chunk()

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        while True:
            poll.poll()
            with suppress(BlockingIOError):  # `drain` has emptied the pipe meanwhile
                if not self._copy_chunk():
                    return

    def _copy_chunk(self) -> bool:
        """Copy one chunk and return False at the end of the pipe. Raises BlockingIOError if the pipe is empty now."""
        with self._copying:  # so that this process does not exit between the read and the write of another thread
            chunk = os.read(self._read, _CHUNK)
            with suppress(OSError):
                if os.fstat(2).st_size + len(chunk) > LIMIT:
                    self._rotate()
                os.write(2, chunk)
            return bool(chunk)

    def _rotate(self) -> None:
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
