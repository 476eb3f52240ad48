"""Sweeping: removing what nobody holds, of this user, in this runtime directory."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.devices import reservations
from gpumodels.errors import EngineError
from gpumodels.instances.place import runtime_directory
from gpumodels.lease import events, notes
from gpumodels.lease.directory import InstanceDirectory
from gpumodels.lease.processes import marked
from gpumodels.lease.record import InstanceRecord, Owner, UnknownRecordError
from gpumodels.lease.runtime import remove_shared_memory

if TYPE_CHECKING:
    from gpumodels.engines.base import Engine
    from gpumodels.lease.runtime import RuntimeDirectory

#: How long a leash may take, beyond the model's grace, before it counts as stuck (paused, or stopped).
_LEASH_PATIENCE = 1.0


def sweep(runtime: RuntimeDirectory | None = None, of_process: int | None = None) -> bool:
    """Remove every instance that nobody holds; True if nothing is left to do.

    Never touches what somebody holds or is just making, nor instances of another version, user or machine. False
    means that an engine did not answer, or that a leash is still ending its instance: sweep again. With `of_process`
    only instances that this process held count for the answer.
    """
    runtime = runtime or runtime_directory()
    if not runtime.exists:
        return _sweep_without_directories(runtime)
    left = sweep_directories(runtime)
    with suppress(EngineError, ImportError):  # nobody may ever have used it here
        engines.engine("docker").sweep(runtime.path, runtime.identity)
    return not [directory for directory in left if of_process is None or directory.was_held_by(of_process)]


def sweep_directories(runtime: RuntimeDirectory) -> list[InstanceDirectory]:
    """Remove what the directories tell of; those of what could not be removed yet."""
    left = []
    used: dict[str, Engine] = {}
    for directory in runtime.claim_stale():
        try:
            record = directory.record()
        except UnknownRecordError:
            directory.remove()  # it was never written, so nothing was started
            continue
        with suppress(EngineError):
            _remove(directory, record, used)
        if directory.path.exists():
            left.append(directory)
    runtime.sweep_shared_memory()
    notes.sweep(runtime.path)
    reservations.sweep()
    return left


def _remove(directory: InstanceDirectory, record: InstanceRecord, used: dict[str, Engine]) -> None:
    """Remove one claimed instance; its directory stays for the next sweep while its leash or engine is not done."""
    if directory.leash_lives and directory.claimed_for() < record.grace + _LEASH_PATIENCE:
        return  # it is awake and ending its server politely: it holds its byte of the lease until that is done
    engine = used.setdefault(record.engine, engines.engine(record.engine))
    engine.attach(record, directory).remove()
    remove_shared_memory(record.shared_memory)
    _tell_end(directory, record)
    directory.remove()


def _tell_end(directory: InstanceDirectory, record: InstanceRecord) -> None:
    """Of one that somebody stopped it was told by who did; and of two that sweep at once only one tells."""
    with suppress(OSError):
        (directory.path / "told").touch(0o600, exist_ok=False)
        if directory.ended is None:
            text = f"{record.model} ended: nobody holds it any more"
            events.tell(directory.path.parent, "ended", instance=record.id, model=record.model, text=text)


def _sweep_without_directories(runtime: RuntimeDirectory) -> bool:
    """Sweep what a runtime directory that somebody removed leaves elsewhere; True when none of it runs any more.

    Whether somebody wants an instance cannot be seen then: what runs is left, and ends with its holders all the same.
    """
    running = False
    for instance_id, shared_memory in runtime.shared_memory():
        if marked(instance_id):
            running = True
            continue
        record = InstanceRecord(instance_id, "", "docker", Owner(0), 0.0)  # of which a container needs no more
        with suppress(EngineError, ImportError):
            engines.engine("docker").attach(record, InstanceDirectory(runtime.path / instance_id)).remove()
        remove_shared_memory(str(shared_memory))
    return not running


def wait_for_endings(runtime: RuntimeDirectory, at_most: float) -> bool:
    """Sweep, and wait so many seconds at most while leashes end what nobody holds; True if anything was ending.

    The memory of a restarted notebook's models is free afterwards. An engine that is down is not waited for.
    """
    deadline = time.monotonic() + at_most
    before = {directory.id for directory in runtime.claimed()}
    claimed = runtime.claim_stale()
    found = any(directory.id not in before or directory.leash_lives for directory in claimed)
    ending = True
    while ending and time.monotonic() < deadline:
        ending = _any_ending(runtime)  # looked at first: one that ends meanwhile is swept once more
        if not sweep_directories(runtime):
            break
        time.sleep(0.02)
    return found


def _any_ending(runtime: RuntimeDirectory) -> bool:
    return any(directory.leash_lives for directory in runtime.claimed())
