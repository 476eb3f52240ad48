"""A copy of this package, and of the packages that a sweep needs, for guards and keepers.

Guards and keepers outlive upgrades, and even the deletion, of the environment that started them, and they import the
sweep only when their kernel has died. So they import it from a copy in the cache, `guards/KEY`. The key changes when
this package or the installed packages change.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from gpumodels import engines
from gpumodels.cleanup.cache import users_by_part
from gpumodels.errors import GpumodelsError
from gpumodels.settings import cache_dir

_PACKAGE = Path(__file__).parents[1]
#: Distributions that a sweep imports, in addition to this package and to engines of other packages.
_NEEDED = ("docker", "msgspec", "nvidia-ml-py")
#: Distributions with more bytes are not copied; they are imported from the environment.
_LARGEST = 20 << 20
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: Seconds after the last start of a guard from a copy. Then the copy is removed, when another one is made, unless a
#: process of this machine uses it. The time is long, because a guard of another machine may share the home directory.
_UNUSED_FOR = 30 * 86400
#: The end of the names of directories that change when a package is installed.
_INSTALLED = re.compile(r"-packages/?$")


def directory() -> Path:
    """Return the directory of the copy, for PYTHONPATH. Make the copy if it is missing.

    If the copy cannot be made, return the directory that this package is installed in.
    """
    try:
        path = cache_dir() / "guards" / _key()
        if path.exists():
            os.utime(path)  # the moment of its last use
        else:
            _make(path)
            _remove_unused(path.parent)
    except (OSError, GpumodelsError):
        return _PACKAGE.parent
    return path


def _key() -> str:
    """Return a hash that changes with this package's modules, the Python version and the installed packages."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _modules():
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    for place in filter(_INSTALLED.search, sys.path):
        with suppress(OSError):
            digest.update(f"{place} {os.stat(place).st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _modules() -> list[Path]:
    return sorted(path for path in _PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        for module in _modules():
            _copy(module, made / "gpumodels" / module.relative_to(_PACKAGE))
        for name in _distributions():
            _copy_distribution(name, made)
        made.rename(path)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not path.exists():  # if it exists, another process has made the same copy
            raise


def _remove_unused(copies: Path) -> None:
    """Remove the copies of the package that no process uses and that were last used more than 30 days ago."""
    old = [path for path in copies.iterdir() if _last_used(path) < time.time() - _UNUSED_FOR]
    if old:
        users = users_by_part(copies.parent)
        for path in old:
            if f"{copies.name}/{path.name}" not in users:
                shutil.rmtree(path, ignore_errors=True)


def _last_used(path: Path) -> float:
    with suppress(FileNotFoundError):  # an unfinished copy, which another process has just renamed
        return path.stat().st_mtime
    return math.inf


def _distributions() -> list[str]:
    """Return the distributions to copy: those that a sweep and engines need, and everything that they require.

    This package itself is not among them; `_make` copies its modules.
    """
    waiting = [*_NEEDED, *engines.distributions()]
    found: list[str] = []
    while waiting:
        name = waiting.pop()
        if name in found or name == "gpumodels":
            continue
        with suppress(metadata.PackageNotFoundError):
            required = metadata.distribution(name).requires or ()
            found.append(name)
            waiting += [match[0] for each in required if "extra ==" not in each and (match := _NAME.match(each))]
    return found


def _copy_distribution(name: str, target: Path) -> None:
    files = [each for each in metadata.distribution(name).files or () if ".." not in each.parts]
    files = [each for each in files if "__pycache__" not in each.parts]
    sources = [(Path(str(each.locate())), target / each) for each in files]
    if sum(source.stat().st_size for source, _ in sources if source.is_file()) <= _LARGEST:
        for source, copy in sources:
            if source.is_file():
                _copy(source, copy)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
