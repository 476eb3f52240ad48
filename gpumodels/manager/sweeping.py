"""Sweeping: removing what nobody holds, of this user, in this runtime directory."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.errors import EngineError
from gpumodels.lease.record import UnknownRecordError
from gpumodels.lease.runtime import RuntimeDirectory, remove_shared_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.engines.base import Engine
    from gpumodels.lease.runtime import InstanceDirectory

#: How long a leash may take, beyond the model's grace, before it counts as stuck (paused, or stopped).
_LEASH_PATIENCE = 1.0


def sweep(runtime: RuntimeDirectory | None = None) -> bool:
    """Remove every instance that nobody holds; True if nothing is left to do.

    Never touches what somebody holds or is just making, nor instances of another version, user or machine. False
    means that an engine did not answer, or that a leash is still ending its instance: sweep again.
    """
    runtime = runtime or RuntimeDirectory()
    used: dict[str, Engine] = {}
    done = True
    for directory in runtime.claim_stale():
        with suppress(EngineError):
            _remove(directory, used)
        done = done and not directory.path.exists()
    runtime.sweep_shared_memory()
    for engine in _installed(used):
        try:
            engine.sweep(runtime.path, runtime.identity)
        except EngineError:
            # Nobody may have been using that engine; only what we could not remove ourselves counts.
            done = done and engine.name not in used
    return done


def _remove(directory: InstanceDirectory, used: dict[str, Engine]) -> None:
    """Remove one claimed instance; its directory stays for the next sweep while its leash or engine is not done."""
    try:
        record = directory.record()
    except UnknownRecordError:
        directory.remove()  # it was never written, so nothing was started
        return
    if directory.leash_lives and directory.claimed_for() < record.grace + _LEASH_PATIENCE:
        return  # it is awake and ending its server politely: it holds its byte of the lease until that is done
    engine = used.setdefault(record.engine, engines.engine(record.engine))
    engine.attach(record, directory).remove()
    remove_shared_memory(record.shared_memory)
    directory.remove()


def _installed(used: dict[str, Engine]) -> Iterable[Engine]:
    yield from used.values()
    if "docker" not in used:
        with suppress(ImportError):
            yield engines.engine("docker")


def wait_for_endings(runtime: RuntimeDirectory, at_most: float) -> bool:
    """Sweep, and wait so many seconds at most while leashes end what nobody holds; True if anything was ending.

    The memory of a restarted notebook's models is free afterwards. An engine that is down is not waited for.
    """
    deadline = time.monotonic() + at_most
    found = bool(runtime.claim_stale())
    while not sweep(runtime) and _any_ending(runtime) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _any_ending(runtime: RuntimeDirectory) -> bool:
    return any(directory.leash_lives for directory in runtime.claimed())
