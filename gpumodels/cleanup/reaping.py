"""Removing what nobody holds, while the user waits, and saying what it was."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.cleanup.sweeping import sweep_directories
from gpumodels.errors import EngineError
from gpumodels.instances.place import runtime_directory
from gpumodels.lease.record import UnknownRecordError
from gpumodels.lease.runtime import SHARED_MEMORY

if TYPE_CHECKING:
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.runtime import RuntimeDirectory

_ASKED_EVERY = 0.05  # seconds


@dataclass(frozen=True)
class Reaped:
    """What was removed, what could not be removed yet, and why, each in words for a user."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    trouble: str = ""


def reap(within: float) -> Reaped:
    """Remove what nobody holds; so many seconds are given to model servers that are just ending.

    Never touches what somebody holds or is just making, nor instances of another version, user or machine.
    """
    runtime = runtime_directory()
    memory = _shared_memory(runtime)
    claimed = {directory.id: _called(directory) for directory in runtime.claim_stale()}
    deadline = time.monotonic() + within
    while sweep_directories(runtime) and time.monotonic() < deadline:
        time.sleep(_ASKED_EVERY)
    containers, trouble = _containers(runtime)
    left = {directory.id for directory in runtime.claimed()}
    removed = [text for instance_id, text in claimed.items() if instance_id not in left]
    removed += [f"container {name}" for name in containers]
    orphans = (name for name in memory - _shared_memory(runtime) if name.partition("-")[2] not in claimed)
    removed += [f"shared memory {name}" for name in sorted(orphans)]
    return Reaped(tuple(removed), tuple(text for instance_id, text in claimed.items() if instance_id in left), trouble)


def _called(directory: InstanceDirectory) -> str:
    try:
        record = directory.record()
    except UnknownRecordError:
        return f"{directory.id} (never started)"
    return f"{record.model} ({directory.id}) of {record.owner.notebook or f'process {record.owner.pid}'}"


def _containers(runtime: RuntimeDirectory) -> tuple[list[str], str]:
    try:
        return engines.engine("docker").sweep(runtime.path, runtime.identity), ""
    except (EngineError, ImportError) as error:
        return [], str(error)


def _shared_memory(runtime: RuntimeDirectory) -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob(f"gpumodels-{os.getuid()}/{runtime.identity}-*")}
