"""A private copy of this package and of what engines need to sweep, for guards and keepers.

They outlive upgrades, and the deletion, of the environment that started them. The sweep, which they import only when
their kernel has died, therefore comes from a copy in the cache. It lies in `guards/KEY`, where the key changes with
this package and with the installed packages.
"""

from __future__ import annotations

import hashlib
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
#: Distributions that a sweep imports beside this package and its engines.
_NEEDED = ("docker", "msgspec", "nvidia-ml-py")
#: Distributions with more bytes stay where they are installed; so does this package, of which the modules are copied.
_LARGEST = 20 << 20
_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: Seconds after which a copy that nobody uses any more is removed, when a new one is made.
_UNUSED_FOR = 7 * 86400
#: Directories that change when a package is installed.
_INSTALLED = re.compile(r"-packages/?$")


def directory() -> Path:
    """Return a directory for PYTHONPATH that holds the copy; made unless it is there.

    Where the cache cannot take it, this is the directory of the package itself.
    """
    try:
        path = cache_dir() / "guards" / _key()
        if path.exists():
            os.utime(path)  # so that it counts as used
        else:
            _make(path)
            _remove_unused(path.parent)
    except (OSError, GpumodelsError):
        return _PACKAGE.parent
    return path


def _key() -> str:
    """Return a hash that changes with this package's modules, the Python version, and installations beside them."""
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
        if not path.exists():  # else another process was first
            raise


def _remove_unused(copies: Path) -> None:
    """Remove copies of older versions that no process has imported from for long."""
    old = [path for path in copies.iterdir() if path.stat().st_mtime < time.time() - _UNUSED_FOR]
    if old:
        users = users_by_part(copies.parent)
        for path in old:
            if f"{copies.name}/{path.name}" not in users:
                shutil.rmtree(path, ignore_errors=True)


def _distributions() -> list[str]:
    """Return what engines need: packages of their own, and everything those require, but not this package."""
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
