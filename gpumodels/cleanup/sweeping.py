"""Sweeping: removing instances that nobody holds, of this user, in one runtime directory."""

from __future__ import annotations

import functools
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.cleanup import engine_runs
from gpumodels.devices import reservations
from gpumodels.errors import EngineError
from gpumodels.instances import runtime_directory
from gpumodels.lease import (
    SHARED_MEMORY,
    InstanceDirectory,
    InstanceRecord,
    Owner,
    UnknownRecordError,
    events,
    notes,
    processes,
    remove_shared_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpumodels.engines import Engine
    from gpumodels.lease import RuntimeDirectory

#: Seconds beyond the model's grace after which a leash counts as stuck (paused, or stopped).
_LEASH_PATIENCE = 1.0
_POLL = 0.02  # seconds
#: The file in a swept directory that marks the end of its instance as logged.
_END_LOGGED = "told"


def sweep(runtime: RuntimeDirectory | None = None, of_process: int | None = None) -> bool:
    """Remove all instances that nobody holds. Return True if nothing is left to do.

    Instances that somebody holds or is just making are never touched, nor those of another version, user or machine.
    False means that an engine did not answer, or that a leash is still ending its instance: sweep again. With
    `of_process`, only instances that this process held count for the answer. An engine that failed again and again does
    not count either.
    """
    runtime = runtime or runtime_directory()
    if not runtime.exists:
        return _sweep_elsewhere(runtime)
    left = sweep_directories(runtime)
    sweep_engines(runtime)
    if of_process is not None:
        left = [directory for directory in left if directory.was_held_by(of_process)]
    return all(map(_is_given_up, left))


def sweep_directories(runtime: RuntimeDirectory, within: float = float("inf")) -> list[InstanceDirectory]:
    """Remove instances that have a directory, and return the directories of those that could not be removed yet.

    Wait for each engine as long as it allows, `within` seconds at most.
    """
    left = _remove_claimed(runtime.claim_stale(), within)
    _remove_remains(runtime)
    return left


def _remove_claimed(claimed: Sequence[InstanceDirectory], within: float) -> list[InstanceDirectory]:
    """Remove claimed instances, and return the directories of those that could not be removed yet."""
    by_engine: dict[str, list[tuple[InstanceDirectory, InstanceRecord]]] = {}
    for directory in claimed:
        try:
            record = directory.record()
        except UnknownRecordError:
            directory.remove()  # it was never written, so nothing was started
            continue
        if not _is_ending(directory, record):
            by_engine.setdefault(record.engine, []).append((directory, record))
    engine_runs.run_each({name: functools.partial(_remove_all, each) for name, each in by_engine.items()}, within)
    return [directory for directory in claimed if directory.path.exists()]


def _remove_remains(runtime: RuntimeDirectory) -> None:
    """Remove what processes that ended left outside of instance directories."""
    runtime.sweep_shared_memory()
    notes.sweep(runtime.path)
    reservations.sweep()


def _is_ending(directory: InstanceDirectory, record: InstanceRecord) -> bool:
    """Return True while the leash ends its server politely. It holds its byte of the lease until that is done."""
    return directory.claimed_for() < record.grace + _LEASH_PATIENCE and directory.leash_lives


def _remove_all(found: Sequence[tuple[InstanceDirectory, InstanceRecord]], engine: Engine) -> None:
    """Remove claimed instances of one engine. Raises the last EngineError; the next sweep tries those again."""
    failed: EngineError | None = None
    for directory, record in found:
        try:
            engine.attach(record, directory).remove()
        except EngineError as error:
            failed = error
            continue
        remove_shared_memory(record.shared_memory)
        _log_end(directory, record)
        directory.remove()
    if failed is not None:
        raise failed


def _log_end(directory: InstanceDirectory, record: InstanceRecord) -> None:
    """Log the end of an instance, unless `stop` has logged it already. Concurrent sweeps log it once."""
    with suppress(OSError):
        (directory.path / _END_LOGGED).touch(0o600, exist_ok=False)
        if directory.ended is None:
            text = f"{record.model} ended: nobody holds it any more"
            events.log(directory.path.parent, "ended", instance=record.id, model=record.model, text=text)


def sweep_engines(runtime: RuntimeDirectory, within: float = float("inf")) -> dict[str, engine_runs.Run]:
    """Let every engine that ever ran instances here remove remains that have no directory. Return the runs that ended.

    Wait for each engine as long as it allows, `within` seconds at most.
    """
    task = _engine_sweep(runtime)
    return engine_runs.run_each(dict.fromkeys(runtime.engines(), task), within)


def _engine_sweep(runtime: RuntimeDirectory) -> Callable[[Engine], list[str]]:
    return lambda engine: engine.sweep(runtime.path, runtime.identity)


def _is_given_up(directory: InstanceDirectory) -> bool:
    with suppress(UnknownRecordError):
        return engine_runs.is_given_up(directory.record().engine)
    return False


def _sweep_elsewhere(runtime: RuntimeDirectory) -> bool:
    """Sweep what a removed runtime directory leaves elsewhere. Return True when none of it runs any more.

    Whether somebody wants an instance cannot be seen then. One that runs is left alone, and ends with its holders.
    """
    found = runtime.shared_memory()
    running = {instance_id for instance_id, _ in found if processes.marked(instance_id)}
    ended = [(instance_id, path) for instance_id, path in found if instance_id not in running]
    if ended:
        ids = [instance_id for instance_id, _ in ended]
        names = engines.names()
        engine_runs.run_each({name: functools.partial(_remove_by_id, runtime, ids) for name in names})
    for _, path in ended:
        remove_shared_memory(str(path))
    return not running


def _remove_by_id(runtime: RuntimeDirectory, ids: Iterable[str], engine: Engine) -> None:
    for instance_id in ids:
        record = InstanceRecord(instance_id, "", engine.name, Owner(0), 0.0)  # an id is all that removing needs
        engine.attach(record, InstanceDirectory(runtime.path / instance_id)).remove()


def wait_for_endings(runtime: RuntimeDirectory, at_most: float) -> bool:
    """Sweep, and wait so many seconds at most while leashes end what nobody holds. Return True if anything was ending.

    The memory of a restarted notebook's models is free afterwards. An engine that is down is not waited for.
    """
    deadline = time.monotonic() + at_most
    before = {directory.id for directory in runtime.claimed()}
    claimed = runtime.claim_stale()
    found = any(directory.id not in before or directory.leash_lives for directory in claimed)
    while claimed and time.monotonic() < deadline:
        ending = any(directory.leash_lives for directory in claimed)  # looked at first: see below
        if not _remove_claimed(claimed, deadline - time.monotonic()) or not ending:
            break
        time.sleep(_POLL)
        claimed = runtime.claim_stale()  # so an instance that ended meanwhile is removed once more
    _remove_remains(runtime)
    sweep_engines(runtime, within=0.0)  # in the background: the load needs nothing of it
    return found


@dataclass(frozen=True)
class Reaped:
    """The result of `reap`: what was removed, what could not be removed yet, and why, in words for a user."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


def reap(within: float) -> Reaped:
    """Remove what nobody holds, and wait so many seconds for model servers that are just ending.

    Never touches what somebody holds or is just making, nor instances of another version, user or machine.
    """
    runtime = runtime_directory()
    memory = _shared_memory(runtime)
    claimed = {directory.id: _describe(directory) for directory in runtime.claim_stale()}
    deadline = time.monotonic() + within
    while sweep_directories(runtime, within) and time.monotonic() < deadline:
        time.sleep(_POLL)
    remains, troubles = _remains(runtime)
    left = {directory.id for directory in runtime.claimed()}
    removed = [text for instance_id, text in claimed.items() if instance_id not in left]
    orphans = (name for name in memory - _shared_memory(runtime) if name.partition("-")[2] not in claimed)
    removed += remains + [f"shared memory {name}" for name in sorted(orphans)]
    unfinished = tuple(text for instance_id, text in claimed.items() if instance_id in left)
    return Reaped(tuple(removed), unfinished, tuple(troubles))


def _describe(directory: InstanceDirectory) -> str:
    try:
        record = directory.record()
    except UnknownRecordError:
        return f"{directory.id} (never started)"
    return f"{record.model} ({directory.id}) of {record.owner.notebook or f'process {record.owner.pid}'}"


def _remains(runtime: RuntimeDirectory) -> tuple[list[str], list[str]]:
    """Return what engines removed that had no directory, and the troubles they had."""
    removed, troubles = [], []
    names = sorted({engines.FIRST, *runtime.engines()})
    ended = engine_runs.run_each(dict.fromkeys(names, _engine_sweep(runtime)))
    for name in names:
        unit, run = engines.engine(name).unit, ended.get(name)
        if run is not None and run.error is None:
            removed += [f"{unit} {each}" for each in run.result]
        else:
            why = "The engine does not answer." if run is None else run.error
            troubles.append(f"{unit}s were not looked at. {why}")
    return removed, troubles


def _shared_memory(runtime: RuntimeDirectory) -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob(f"gpumodels-{os.getuid()}/{runtime.identity}-*")}
