"""Sweeping: removing the instances of one runtime directory that no process holds."""

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

#: Seconds that a leash may take in addition to the model's grace. After that it counts as stuck (by SIGSTOP, say).
_LEASH_PATIENCE = 1.0
_POLL = 0.02  # seconds
#: The name of the file in a swept directory that shows that the end of the instance is logged.
_END_LOGGED = "told"


def sweep(runtime: RuntimeDirectory | None = None, of_process: int | None = None) -> bool:
    """Remove all instances that no process holds. Return True if nothing is left to do.

    Instances that a process holds or is just making are never touched, nor those of another version, user or machine.
    If the answer is False, an engine did not answer, or a leash is still ending its instance: sweep again. With
    `of_process`, a process id, the answer depends only on the instances that this process held. Instances of an engine
    that has only hung and failed for twenty times its `cleanup_seconds` do not make the answer False.
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
    """Remove instances that have a directory, and return the directories that could not be removed yet.

    Wait for each engine as long as its `cleanup_seconds` allow, and at most `within` seconds.
    """
    left = _remove_claimed(runtime.claim_stale(), within)
    _remove_remains(runtime)
    return left


def _remove_claimed(claimed: Sequence[InstanceDirectory], within: float) -> list[InstanceDirectory]:
    """Remove the instances of claimed directories, and return the directories that could not be removed yet."""
    by_engine: dict[str, list[tuple[InstanceDirectory, InstanceRecord]]] = {}
    for directory in claimed:
        try:
            record = directory.record()
        except UnknownRecordError:
            directory.remove()  # the record was never written, so nothing was started
            continue
        if not _is_ending(directory, record):
            by_engine.setdefault(record.engine, []).append((directory, record))
    engine_runs.run_each({name: functools.partial(_remove_all, each) for name, each in by_engine.items()}, within)
    return [directory for directory in claimed if directory.path.exists()]


def _remove_remains(runtime: RuntimeDirectory) -> None:
    """Remove the shared memory, notes and reservations of processes that have ended."""
    runtime.sweep_shared_memory()
    notes.sweep(runtime.path)
    reservations.sweep()


def _is_ending(directory: InstanceDirectory, record: InstanceRecord) -> bool:
    """Return True while the leash is ending its server, and has not taken longer than the grace allows."""
    return directory.claimed_for() < record.grace + _LEASH_PATIENCE and directory.leash_lives


def _remove_all(found: Sequence[tuple[InstanceDirectory, InstanceRecord]], engine: Engine) -> None:
    """Remove claimed instances of one engine. Raises the last EngineError; the next sweep removes the rest."""
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
    """Run the sweep of each engine that ever ran instances here, and return the runs that ended.

    An engine's sweep removes what is left of instances without a directory. Wait for each engine as long as its
    `cleanup_seconds` allow, and at most `within` seconds.
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
    """Remove the remains of ended instances after the runtime directory was removed. Return True if no instance runs.

    Without the directory, the holders of an instance are not known. So an instance that runs is not touched; it ends
    with its holders.
    """
    found = runtime.shared_memory()
    running = {instance_id for instance_id, _ in found if processes.of_instance(instance_id)}
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
        record = InstanceRecord(instance_id, "", engine.name, Owner(0), 0.0)  # `remove` needs only the id
        engine.attach(record, InstanceDirectory(runtime.path / instance_id)).remove()


def wait_for_endings(runtime: RuntimeDirectory, at_most: float) -> bool:
    """Sweep, and wait until leashes have ended the instances that no process holds. Return True if any was ending.

    Wait no longer than `at_most` seconds, and not for an engine that is down. A load calls this first, because the
    models of a restarted notebook may be ending, and their memory is about to be free.
    """
    deadline = time.monotonic() + at_most
    before = {directory.id for directory in runtime.claimed()}
    claimed = runtime.claim_stale()
    found = any(directory.id not in before or directory.leash_lives for directory in claimed)
    while claimed and time.monotonic() < deadline:
        ending = any(directory.leash_lives for directory in claimed)  # read before the removal; see below
        if not _remove_claimed(claimed, deadline - time.monotonic()) or not ending:
            break
        time.sleep(_POLL)
        claimed = runtime.claim_stale()  # `ending` is from before, so an instance that ended meanwhile is tried again
    _remove_remains(runtime)
    sweep_engines(runtime, within=0.0)  # in the background, because the load need not wait for it
    return found


@dataclass(frozen=True)
class Reaped:
    """The result of `reap` as text for users: removed things, things that are left, and the reasons."""

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


def reap(within: float) -> Reaped:
    """Remove everything that no process holds. Wait up to `within` seconds for model servers that are ending.

    The rules of `sweep` apply: instances that a process holds or is just making are never touched.
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
    """Sweep the engines, and return the remains that they removed, and the reasons why some could not be swept."""
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
