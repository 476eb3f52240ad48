"""The part of this package that runs inside an instance, as a directory of its own.

Only the rooms that the model server needs, so that neither a container nor a model's environment sees the notebook's
packages, and so that the copy stays the same while this checkout is edited.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from gpumodels.catalog import making
from gpumodels.settings import cache_dir

_PACKAGE = Path(__file__).parents[1]
#: Modules and packages of the payload.
_PARTS = (
    "__init__.py", "_version.py", "errors.py", "lazy.py", "load_line.py", "presentation.py", "signature.py",
    "lease", "protocol", "server",
)  # fmt: skip

#: What the model server itself needs; ranges, so that a model's own pins win.
REQUIREMENTS = ("grpcio>=1.60", "numpy>=1.23", "protobuf>=5")


def files() -> list[tuple[str, Path]]:
    """The payload's files as (path inside `gpumodels/`, where it lies), sorted."""
    found = []
    for part in _PARTS:
        top = _PACKAGE / part
        paths = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        found += [(str(path.relative_to(_PACKAGE)), path) for path in paths if "__pycache__" not in path.parts]
    return sorted(found)


@cache
def fingerprint() -> str:
    """A hash of the payload's content, hexadecimal."""
    digest = hashlib.sha256()
    for name, path in files():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def directory() -> Path:
    """A directory to put on PYTHONPATH that holds the payload and nothing else; made unless it is there.

    Raises EngineError where the cache cannot take it.
    """
    place = cache_dir() / "server" / fingerprint()
    with making("The directory of the model server"):
        if not place.exists():
            _make(place)
    return place


def _make(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        write_to(temporary / "gpumodels")
        temporary.chmod(0o755)
        os.rename(temporary, place)  # noqa: PTH104  Path.rename would do; the error is what matters
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not place.exists():  # else another process was first, with the same content
            raise


def write_to(package: Path) -> None:
    """Copy the payload so that `package` becomes the directory `gpumodels`."""
    for name, source in files():
        target = package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
