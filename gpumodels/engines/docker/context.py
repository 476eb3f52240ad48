"""The build context of an image, a tar of its files. It is hashed and sent in pieces, because it may be large."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gpumodels.errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    #: The files by their names in the build context, each as its content or its path on this machine.
    Files = Mapping[str, bytes | Path]

_PIECE = 1 << 20


def fingerprint(files: Files) -> str:
    """Return a hexadecimal hash of all names and contents. Raises BuildFailed if a file cannot be read."""
    return _write(files, None)


@contextmanager
def packed(files: Files) -> Iterator[tuple[IO[bytes], str]]:
    """Yield the tar and the fingerprint of its content. The tar is deleted after the block, or if this process dies.

    Raises BuildFailed if a file cannot be read or the tar cannot be written.
    """
    try:
        archive = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    except OSError as error:
        reason = error.strerror or error
        raise BuildFailed(f"The image cannot be packed: {reason}. Name another place by TMPDIR.") from None
    with archive:
        found = _write(files, archive)
        archive.seek(0)
        yield archive, found


def _write(files: Files, target: IO[bytes] | None) -> str:
    """Return the hash of the tar, and write the tar to `target` unless that is None. Equal files give equal bytes."""
    sink = _Hashing(target)
    with tarfile.open(fileobj=sink, mode="w|", bufsize=_PIECE) as archive:  # type: ignore[call-overload]
        for name, content in sorted(files.items()):
            try:
                _add(archive, name, content)
            except OSError as error:
                which = str(content) if isinstance(content, Path) else name
                raise BuildFailed(f"{which} cannot be packed for the image: {error.strerror or error}.") from None
    return sink.digest.hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = file.seek(0, io.SEEK_END), 0o755  # a Dockerfile may run some of them
        file.seek(0)
        archive.addfile(entry, file)


class _Hashing:
    """A file that hashes the data written to it, and copies the data to another file if there is one."""

    def __init__(self, target: IO[bytes] | None) -> None:
        self.digest = hashlib.sha256()
        self._target = target

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        if self._target is not None:
            self._target.write(data)
