"""The parts of the cache (see `settings.cache_dir`), with their sizes and users.

- `environments/KEY`, `KEY.lock`, `KEY.making-*`: environments of the process engine, their locks, unfinished ones
- `server/KEY`, `server/tmp*`: copies of the model server, and unfinished copies
- `guards/KEY`, `guards/tmp*`: copies of the code of guards and keepers, and unfinished copies
- `weights/files/SHA256`, `weights/sets/HASH`: see `catalog.weights`
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.lease import INSTANCE_MARK
from gpumodels.settings import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_UNFINISHED = ".making-"
_DISTRIBUTION = re.compile(r"(.+?)-[^-]+\.dist-info")
#: Distributions that are in every environment, so an environment is not described by them.
_EVERYWHERE = ("grpcio", "numpy", "protobuf", "typing_extensions")
_NAMED = 4
_BLOCK = 512  # bytes; the unit of st_blocks
#: The directories with copies of this package's code, and the kind of each copy for display.
_COPIES = {"server": "model server", "guards": "guard"}


@dataclass(frozen=True)
class Part:
    """A part of the cache, such as one environment.

    `kind` and `name` are for display. `size` is the number of bytes that the removal of the part frees. `used_by` is
    the id of the instance, or the process, that uses the part; "" if it is unused.
    """

    kind: str
    name: str
    size: int
    used_by: str
    remove: Callable[[], None] = field(repr=False, compare=False)


class Cache:
    """The content of the cache at one moment."""

    def __init__(self) -> None:
        self._top = cache_dir()
        self._users = users_by_part(self._top)

    def environments(self) -> list[Part]:
        """Return the environments and the copies of this package in the cache, finished and unfinished."""
        found = []
        for path in _directories(self._top / "environments"):
            kind = "half-made" if _UNFINISHED in path.name else "environment"
            name = f"environment {path.name}" if kind == "half-made" else f"{path.name} ({_contents(path)})"
            found.append(self._part(kind, name, [path], path.with_suffix(".lock")))
        for directory, kind in _COPIES.items():
            found += self._copies(directory, kind)
        return found

    def _copies(self, directory: str, kind: str) -> list[Part]:
        """Return a part for each used copy in `directory`, and one part for all unused copies together."""
        paths = _directories(self._top / directory)
        found = [self._part(kind, f"copy {path.name}", [path]) for path in paths if self._user(path)]
        if idle := [path for path in paths if not self._user(path)]:
            found.append(self._part(kind, f"{len(idle)} copies" if len(idle) > 1 else "1 copy", idle))
        return found

    def weights(self) -> list[Part]:
        """Return the files of weights, with the names that models give them, and unfinished downloads."""
        top = self._top / "weights"
        links = defaultdict[tuple[int, int], list[Path]](list)
        for link in (top / "sets").rglob("*"):
            if link.is_file() and not link.is_symlink():
                links[_inode(link)].append(link)
        found = []
        for home in _directories(top / "files"):
            data = home / "data"
            if not data.is_file():
                found.append(self._part("half-made", f"weights {home.name[:12]}", [home]))
                continue
            known = links.pop(_inode(data), [])
            found.append(self._weights(", ".join(sorted({link.name for link in known})) or home.name[:12], home, known))
        found += [self._weights(paths[0].name, None, paths) for paths in links.values()]
        return found

    def _weights(self, name: str, home: Path | None, links: list[Path]) -> Part:
        sets = {self._top / "weights" / "sets" / _set_of(link): link for link in links}
        used_by = next((user for each in sets if (user := self._user(each))), "")
        where = [home] if home is not None else []
        return Part("weights", name, _freed_bytes([*where, *links]), used_by, partial(_remove_weights, where, links))

    def _part(self, kind: str, name: str, paths: list[Path], lock: Path | None = None) -> Part:
        used_by = next((user for path in paths if (user := self._user(path))), "")
        return Part(kind, name, _freed_bytes(paths), used_by, partial(_remove, paths, lock))

    def _user(self, path: Path) -> str:
        return self._users.get(str(path.relative_to(self._top)), "")


def _directories(parent: Path) -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())
    return []


def _contents(environment: Path) -> str:
    """Return the distributions that only some environments have, as text that describes an environment."""
    names = {
        match[1]
        for path in environment.glob("lib/python*/site-packages/*.dist-info")
        if (match := _DISTRIBUTION.fullmatch(path.name))
    }
    telling = sorted(names - set(_EVERYWHERE), key=str.lower)
    if not telling:
        return "numpy only"
    return ", ".join(telling[:_NAMED]) + (f" and {len(telling) - _NAMED} more" if len(telling) > _NAMED else "")


def users_by_part(cache: Path) -> dict[str, str]:
    """Return the user of each part of the cache that is in use, by the part's path in the cache.

    A user is the id of an instance, or "process PID". Users are found among the running processes. A leash, model
    server or guard has the part's path in its command line or environment, and a container has it among its mounts.
    """
    inside = re.compile(re.escape(os.fsencode(cache)) + rb"/((?:environments|server|guards|weights/sets)/[^/\0:\s]+)")
    mounted = re.compile(rb"/(weights/sets/[0-9a-f]{64})\s")
    found: dict[str, str] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        environment = _read(process / "environ")
        names = inside.findall(_read(process / "cmdline") + b"\0" + environment)
        instance = re.search(rb"(?:^|\0)" + INSTANCE_MARK.encode() + rb"=([^\0]+)", environment)
        if instance:
            names += mounted.findall(_read(process / "mountinfo"))
        user = instance[1].decode(errors="replace") if instance else f"process {process.name}"
        for name in names:
            if instance or os.fsdecode(name) not in found:
                found[os.fsdecode(name)] = user
    return found


def _read(file: Path) -> bytes:
    with suppress(OSError):
        return file.read_bytes()
    return b""


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _set_of(link: Path) -> str:
    """Return the name of the set that contains a link. The link may be in a subdirectory of the set."""
    return link.parts[link.parts.index("sets") + 1]


def _freed_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes on the disk that the removal of `paths` frees. A file with other links elsewhere frees none."""
    seen: dict[tuple[int, int], tuple[int, int, int]] = {}
    for top in paths:
        for path in [top, *top.rglob("*")]:
            with suppress(OSError):
                status = path.lstat()
                links = 1 if path.is_dir() and not path.is_symlink() else status.st_nlink
                count = seen.get((status.st_dev, status.st_ino), (0, 0, 0))[0]
                seen[status.st_dev, status.st_ino] = (count + 1, links, status.st_blocks * _BLOCK)
    return sum(size for count, links, size in seen.values() if count >= links)


def _remove(paths: Iterable[Path], lock: Path | None) -> None:
    """Remove directories and their `lock` file. Each is renamed first, so that no process finds a half-removed one."""
    for path in paths:
        away = path if _UNFINISHED in path.name else path.with_name(f"{path.name}{_UNFINISHED}pruned")
        if away != path:
            path.rename(away)
        shutil.rmtree(away)
    if lock is not None:
        lock.unlink(missing_ok=True)


def _remove_weights(homes: Iterable[Path], links: Iterable[Path]) -> None:
    for link in links:
        link.unlink(missing_ok=True)
        for parent in link.parents:  # remove the directories that are now empty
            if parent.name == "sets":
                break
            with suppress(OSError):
                parent.rmdir()
    _remove(homes, None)
