"""The payload, a copy of the part of this package that runs inside an instance.

It contains only the modules that the model server needs, in a directory without other packages. So an instance does not
see the packages of the notebook, and edits of the installed package do not change a running model server.
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

PACKAGE = Path(__file__).parents[1]
#: The modules and packages of the payload.
_PARTS = (
    "__init__.py", "_version.py", "errors.py", "lazy.py", "load_line.py", "presentation.py", "signature.py",
    "lease", "protocol", "server",
)  # fmt: skip

#: The requirements of the model server. They are ranges, so that a model can pin versions.
REQUIREMENTS = ("grpcio>=1.60", "numpy>=1.23", "protobuf>=5")


def files() -> list[tuple[str, Path]]:
    """Return the files of the payload as sorted pairs: the path inside `gpumodels/` and the path on this machine."""
    found = []
    for part in _PARTS:
        top = PACKAGE / part
        paths = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        found += [(str(path.relative_to(PACKAGE)), path) for path in paths if "__pycache__" not in path.parts]
    return sorted(found)


@cache
def fingerprint() -> str:
    """Return a hexadecimal hash of the payload's content."""
    digest = hashlib.sha256()
    for name, path in files():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def directory() -> Path:
    """Return the directory that contains only the payload, for PYTHONPATH. Make it if it is missing.

    Raises EngineError if it cannot be written to the cache.
    """
    path = cache_dir() / "server" / fingerprint()
    with making("The directory of the model server"):
        if not path.exists():
            _make(path)
    return path


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        write_to(temporary / "gpumodels")
        temporary.chmod(0o755)
        os.rename(temporary, path)  # noqa: PTH104
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not path.exists():  # else another process has just made it, with the same content
            raise


def write_to(package: Path) -> None:
    """Copy the payload to the directory `package`, which becomes the package `gpumodels`."""
    for name, source in files():
        target = package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
