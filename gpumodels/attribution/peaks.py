"""Peaks: the most GPU memory that models held before, so that the next load of the same is placed where it fits.

They lie in `peaks.json` below the user's state directory, by the load's fingerprint (content of the folder, settings,
limits), engine, number of devices and kind of device. They guide placement and refuse nothing: a file that is damaged,
or cannot be written, counts as empty.
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
#: A peak is written only where it exceeds the one before by 2 %.
_MORE = 1.02
_LARGEST = 1 << 20  # bytes that are read of the file
_KEPT = 1000  # peaks; the one seen longest ago goes first


class _Peak(NamedTuple):
    """The bytes of an instance on all its devices, and the moment they were seen, in seconds since the epoch."""

    memory: int
    seen: float


_Peaks = dict[str, _Peak]


def note(record: InstanceRecord, memory: int | None) -> None:
    """Remember that an instance holds `memory` bytes on all its devices together, if that is its peak.

    Otherwise it takes some 10 microseconds. It raises nothing.
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
    """Remember the memory of each of `records`, where `seen` are all devices at one moment."""
    found = held_in_all(seen)
    for record in records:
        note(record, found.get(record.id))


def learnt(fingerprint: str, engine: str, count: int) -> dict[str, int]:
    """Return the peaks of one fingerprint: bytes on its `count` devices together, by the device's name."""
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
    """Return the peaks that the file holds. Callers share the result and must not change it."""
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
