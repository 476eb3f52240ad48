"""Peaks: the largest GPU memory that each model ever held. Placement uses them for the next load of the same model.

They are stored in `peaks.json` in the user's state directory, by the load's fingerprint (content of the folder,
settings, limits), engine, number of devices and kind of device. A load is never refused because of a peak. A file that
is damaged or cannot be written counts as empty.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from gpumodels.attribution.shares import held_in_all
from gpumodels.errors import GpumodelsError
from gpumodels.lease import write_atomically
from gpumodels.settings import state_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gpumodels.attribution.snapshot import DeviceUsage
    from gpumodels.lease import InstanceRecord

_VERSION = 1
#: A peak is written only if it is at least 2 % larger than the one before.
_MORE = 1.02
_LARGEST = 1 << 20  # bytes; the rest of the file is not read
_KEPT = 1000  # peaks; more are removed, the oldest first


class _Peak(NamedTuple):
    """The bytes of an instance on all its devices, and the moment of that reading in seconds since the epoch."""

    memory: int
    seen: float


_Peaks = dict[str, _Peak]


def note(record: InstanceRecord, memory: int | None) -> None:
    """Store `memory`, the bytes of an instance on all its devices together, if that is a new peak.

    If it is no new peak, this takes about 10 microseconds. No error is raised.
    """
    names = {device["name"] for device in record.devices}
    if not memory or not names or not record.fingerprint:
        return
    with suppress(OSError, GpumodelsError):
        path = _path()
        known = _read(path)
        keys = [_key(record.fingerprint, record.engine, len(record.devices), name) for name in names]
        least = {key: known[key].memory * _MORE if key in known else 0 for key in keys}
        new = {key: _Peak(memory, time.time()) for key in keys if memory > least[key]}
        if new:
            kept = sorted({**known, **new}.items(), key=lambda item: item[1].seen)[-_KEPT:]
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, json.dumps({"version": _VERSION, "peaks": dict(kept)}, indent=0) + "\n")


def note_seen(records: Iterable[InstanceRecord], seen: Iterable[DeviceUsage]) -> None:
    """Store the new peaks among the instances of `records`. `seen` are all devices at one moment."""
    found = held_in_all(seen)
    for record in records:
        note(record, found.get(record.id))


def learnt(fingerprint: str, engine: str, count: int) -> dict[str, int]:
    """Return the peaks of a fingerprint on `count` devices: the bytes on all devices together, by the device's name."""
    beginning = _key(fingerprint, engine, count, "")
    with suppress(OSError, GpumodelsError):
        known = _read(_path())
        return {key.removeprefix(beginning): each.memory for key, each in known.items() if key.startswith(beginning)}
    return {}


def _key(fingerprint: str, engine: str, count: int, name: str) -> str:
    return f"{fingerprint} {engine} {count} {name}"


def _path() -> Path:
    return state_dir() / "peaks.json"


def _read(path: Path) -> _Peaks:
    try:
        found = path.stat()
    except FileNotFoundError:
        return {}
    return _parsed(path, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=1)
def _parsed(path: Path, *_version: int) -> _Peaks:
    """Return the peaks in this version of the file. The result is cached, so callers must not change it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe must not block
        with open(fd, encoding="utf-8") as file:  # noqa: PTH123
            content = json.loads(file.read(_LARGEST))
        if content["version"] != _VERSION:
            return {}
        return {key: _peak(*value) for key, value in content["peaks"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _peak(memory: int, seen: float) -> _Peak:
    if not isinstance(memory, int) or memory <= 0:
        raise ValueError(memory)
    return _Peak(memory, float(seen))
