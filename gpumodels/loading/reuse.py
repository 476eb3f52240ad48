"""Instances that run already and may be used once more: shared ones, kept ones, those that `attach` names."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import engines, presentation
from gpumodels.cleanup import keeper
from gpumodels.errors import GpumodelsError, LoadFailed, ModelGone, ModelNotFound
from gpumodels.instances import holders, owner, registry
from gpumodels.lease.held import LeaseRefusedError, LeaseState
from gpumodels.lease.interrupts import uninterrupted
from gpumodels.lease.record import UnknownRecordError
from gpumodels.loading.liveness import Watch
from gpumodels.model import Hold, Stay
from gpumodels.model.nap import memory_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.devices import Device
    from gpumodels.instances.progress import Report
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.held import Lease
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.loading.asked import Asked
    from gpumodels.loading.request import Request
    from gpumodels.model import Model

_LOOK = 0.05  # seconds between two looks at one that is being started


def fingerprint(request: Request) -> str:
    """What two loads have in common that may share an instance: all but device and engine."""
    said = repr((request.spec, request.content, request.env, request.serve, request.memory))
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def find(runtime: RuntimeDirectory, mark: str, asked: Asked, chosen: Sequence[Device]) -> InstanceRecord | None:
    """The oldest running instance that is what is asked for, on the device that is asked for."""
    named = {device.uuid for device in chosen}
    for record in registry.running(runtime):
        if record.state == "stopping":
            continue
        there = {device["uuid"] for device in record.devices}
        same_device = there == named or (str(asked.gpu) == "auto" and bool(there) == bool(named))
        if record.fingerprint == mark and asked.engine in {"auto", record.engine} and same_device:
            return record
    return None


def advice(record: InstanceRecord) -> str:
    """What a load says that starts the same once more."""
    who = "this notebook" if record.owner.pid == os.getpid() else "another notebook"
    with suppress(GpumodelsError):
        if held := memory_held(record):
            return f"{who} runs this model; --share saves {presentation.size(held)}"
    return f"{who} runs this model; --share would use that one"


def join(
    runtime: RuntimeDirectory, record: InstanceRecord, timeout: float, report: Report, made: Callable[[Stay], Model]
) -> Model | None:
    """Use a running instance as well, and give `made` of it; None where it has just ended. Raises what waiting does."""
    from gpumodels.client import Client  # noqa: PLC0415

    began = time.monotonic()
    client = stay = None
    report.progress(f"joining {record.model}", None)
    while (joined := _held(runtime, record)) is None:
        if time.monotonic() > began + timeout or not _is_starting(runtime, record):
            return None
        time.sleep(_LOOK)
    directory, lease = joined
    try:
        record = directory.record()  # by now it says where the engine runs it
        instance = engines.engine(record.engine).attach(record, directory)
    except (UnknownRecordError, GpumodelsError):
        lease.release()
        return None
    was_ready = record.state != "loading"
    hold = Hold(record, directory, lease, instance, owner.current())
    try:
        holders.sign(directory)
        shared = Path(record.shared_memory) if record.shared_memory else None
        client = Client(directory.socket, shared, record.model)
        deadline, check = began + timeout, Watch(report, record.model, instance, directory, began).check
        client.wait_ready(deadline, check)
        if not was_ready:  # whoever began this load may have given up since
            hold = replace(hold, record=record.with_(state="ready"))
            directory.write(hold.record)
        stay = Stay(hold, client, client.signature(), time.monotonic() - began)
        # One that falls asleep just now may not have read that we listen; what answers again has.
        client.wait_ready(deadline, check)
        return made(stay)
    except BaseException as error:
        if stay is not None:
            stay.abandon()
        if client is not None:
            client.close()
        hold.end()
        if was_ready and isinstance(error, LoadFailed | ModelGone):  # it died, or has just fallen asleep
            return None
        raise


def _held(runtime: RuntimeDirectory, record: InstanceRecord) -> tuple[InstanceDirectory, Lease] | None:
    """The hold on it, where it can be had."""
    with suppress(LeaseRefusedError), uninterrupted():
        return runtime.join(record.id)
    return None


def _is_starting(runtime: RuntimeDirectory, record: InstanceRecord) -> bool:
    """Whether its leash is not there yet: whoever loads it still makes things ready."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        wanted = directory.ended is None and directory.lease_state is LeaseState.HELD
        return wanted and directory.record().state == "loading"
    return False


def keep(runtime: RuntimeDirectory, record: InstanceRecord, seconds: float) -> None:
    """Have a running instance outlive those who use it for so long, at least."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        now = directory.record()
        if now.keep is None or now.keep < seconds:
            directory.write(now.with_(keep=seconds))
            keeper.start(runtime, now)


def named(runtime: RuntimeDirectory, wanted: str) -> InstanceRecord:
    """The running instance of that id, of an id that begins so, or of that name; raises ModelNotFound."""
    running = registry.running(runtime)
    found = registry.meant(wanted, running)
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFound(f"Several run that are called {wanted!r}: {', '.join(each.id for each in found)}.")
    known = ", ".join(record.id for record in running) or "nothing"
    raise ModelNotFound(f"No running model is called {wanted!r}; what runs is {known}.")
