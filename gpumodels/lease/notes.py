"""Notes: files in which a process publishes its loads in flight and its sleeping models, so that views can show them.

A note is a hidden file of the runtime directory, `.KIND-NAME.json`, and is replaced atomically. It names its writer by
process id and start time, and is valid as long as that process lives. Readers ignore the notes of a dead process; the
next sweep removes them. A `lasting` note is valid until it is removed.

Notes are only for display: if one cannot be written, nothing else fails.
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
#: A file that a killed writer left half-written; see `private_files.write_atomically`.
_UNFINISHED = re.compile(rf"\.{_NOTE.pattern}\.(?P<pid>\d+)\.[0-9a-f]+")


def write(runtime: Path, kind: str, name: str, facts: Mapping[str, Any], *, lasting: bool = False) -> bool:
    """Write or replace the note `name` of a kind, LOAD or ASLEEP, with the content `facts`. Return True on success."""
    path, pid = _path(runtime, kind, name), os.getpid()
    note = {**facts, "by": None if lasting else [pid, processes.start_time(pid)]}
    with suppress(OSError):
        write_atomically(path, json.dumps(note))
        return True
    return False


def remove(runtime: Path, kind: str, name: str) -> bool:
    """Remove a note. Return True if there was one."""
    with suppress(OSError):
        _path(runtime, kind, name).unlink()
        return True
    return False


def standing(runtime: Path, kind: str) -> list[dict[str, Any]]:
    """Return the valid notes of a kind, in no particular order.

    `by` in a note is the writer's process id and start time, or None in a lasting note.
    """
    return [note for _, note in _notes(runtime, _names(runtime), (kind,)) if note is not None]


def sweep(runtime: Path) -> None:
    """Remove the notes of processes that have ended, also half-written ones."""
    names = _names(runtime)
    for path, note in _notes(runtime, names, (LOAD, ASLEEP)):
        if note is None:
            path.unlink(missing_ok=True)
    for name in names:
        if (unfinished := _UNFINISHED.fullmatch(name)) is not None and not processes.start_time(int(unfinished["pid"])):
            (runtime / name).unlink(missing_ok=True)


def _notes(runtime: Path, names: Iterable[str], kinds: tuple[str, ...]) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Iterate over the note files, each with its content, or None if the note is not valid."""
    lives = functools.cache(processes.same_process)
    for name in names:
        if (found := _NOTE.fullmatch(name)) is None or found[1] not in kinds:
            continue
        path = runtime / name
        try:
            note = json.loads(path.read_bytes())
            valid = note["by"] is None or lives(*note["by"])
        except OSError:  # it was removed meanwhile
            continue
        except (ValueError, KeyError, TypeError):
            valid = False
        yield path, note if valid else None


def _names(runtime: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(runtime)  # noqa: PTH208  names are enough
    return []


def _path(runtime: Path, kind: str, name: str) -> Path:
    return runtime / f".{kind}-{name}.json"
