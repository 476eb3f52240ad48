"""Notes: what a living process says of what it does, for whoever shows it: loads under way, models that sleep.

A note is a hidden file of the runtime directory, `.KIND-NAME.json`, replaced whole. It counts as long as the process
lives that wrote it, told by its id and start time: what a process that was killed leaves is read by nobody, and removed
by the next sweep. One that is `lasting` counts until it is removed. Notes are a courtesy: where they cannot be written,
nothing else fails.
"""

from __future__ import annotations

import functools
import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gpumodels.lease import processes
from gpumodels.lease.private_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LOAD, ASLEEP = "load", "asleep"

_NOTE = re.compile(rf"\.({LOAD}|{ASLEEP})-(.+)\.json")
#: What a writer that was killed leaves half-written; see `private_files.write_atomically`.
_HALF = re.compile(rf"\.{_NOTE.pattern}\.(?P<pid>\d+)\.[0-9a-f]+")


def write(runtime: Path, kind: str, name: str, facts: Mapping[str, Any], *, lasting: bool = False) -> bool:
    """Write a note, in place of what it said before; whether that could be done."""
    path, pid = _path(runtime, kind, name), os.getpid()
    note = {**facts, "by": None if lasting else [pid, processes.start_time(pid)]}
    with suppress(OSError):
        write_atomically(path, json.dumps(note))
        return True
    return False


def remove(runtime: Path, kind: str, name: str) -> bool:
    """Remove a note; whether there was one."""
    with suppress(OSError):
        _path(runtime, kind, name).unlink()
        return True
    return False


def standing(runtime: Path, kind: str) -> list[dict[str, Any]]:
    """The notes of a kind that count, in no order; `by` is who wrote them, or None."""
    return [note for _, note in _notes(runtime, _names(runtime), (kind,)) if note is not None]


def sweep(runtime: Path) -> None:
    """Remove what processes left that have ended."""
    names = _names(runtime)
    for path, note in _notes(runtime, names, (LOAD, ASLEEP)):
        if note is None:
            path.unlink(missing_ok=True)
    for name in names:
        if (half := _HALF.fullmatch(name)) is not None and not processes.start_time(int(half["pid"])):
            (runtime / name).unlink(missing_ok=True)


def _notes(runtime: Path, names: Iterable[str], kinds: tuple[str, ...]) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Each file with what it says; None where that does not count, or not any more."""
    lives = functools.cache(processes.same_process)
    for name in names:
        if (found := _NOTE.fullmatch(name)) is None or found[1] not in kinds:
            continue
        path = runtime / name
        try:
            note = json.loads(path.read_bytes())
            counts = note["by"] is None or lives(*note["by"])
        except OSError:  # it was removed meanwhile
            continue
        except (ValueError, KeyError, TypeError):
            counts = False
        yield path, note if counts else None


def _names(runtime: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(runtime)  # noqa: PTH208  names are enough
    return []


def _path(runtime: Path, kind: str, name: str) -> Path:
    return runtime / f".{kind}-{name}.json"
