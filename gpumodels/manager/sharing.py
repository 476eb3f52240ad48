"""Instances that run already and may be used once more: shared ones, kept ones, those that `attach` names."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels import devices, engines
from gpumodels.errors import GpumodelsError, ModelNotFound
from gpumodels.lease.held import LeaseRefusedError
from gpumodels.manager import holders, instances
from gpumodels.manager.watch import Watch
from gpumodels.model import Hold, Stay
from gpumodels.model.hold import uninterrupted
from gpumodels.model.nap import memory_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.devices import Device
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.manager.asked import Asked
    from gpumodels.manager.reporting import Report
    from gpumodels.manager.request import Request
    from gpumodels.model import Model


def fingerprint(request: Request) -> str:
    """What two loads have in common that may share an instance: all but device and engine."""
    said = repr((request.spec, request.content, request.env, request.serve))
    return hashlib.sha256(said.encode()).hexdigest()[:24]


def find(runtime: RuntimeDirectory, mark: str, asked: Asked, chosen: Sequence[Device]) -> InstanceRecord | None:
    """The oldest running instance that is what is asked for, on the device that is asked for."""
    named = {device.uuid for device in chosen}
    for record in instances.running(runtime):
        there = {device["uuid"] for device in record.devices}
        same_device = there == named or (str(asked.gpu) == "auto" and bool(there) == bool(named))
        if record.fingerprint == mark and asked.engine in {"auto", record.engine} and same_device:
            return record
    return None


def advice(record: InstanceRecord) -> str:
    """What a load says that starts the same once more."""
    with suppress(GpumodelsError):
        if held := memory_held(record):
            return f"another notebook runs this model; --share saves {devices.size(held)}"
    return "another notebook runs this model; --share would use that one"


def join(
    runtime: RuntimeDirectory, record: InstanceRecord, timeout: float, report: Report, made: Callable[[Stay], Model]
) -> Model | None:
    """Use a running instance as well, and give `made` of it; None where it has just ended. Raises what waiting does."""
    from gpumodels.client import Client  # noqa: PLC0415

    began = time.monotonic()
    client = None
    with uninterrupted():
        try:
            directory, lease = runtime.join(record.id)
        except LeaseRefusedError:
            return None
    instance = engines.engine(record.engine).attach(record, directory)
    try:
        holders.sign(directory)
        report.progress(f"joining {record.model}", None)
        shared = Path(record.shared_memory) if record.shared_memory else None
        client = Client(directory.socket, shared, record.model)
        client.wait_ready(began + timeout, Watch(report, record.model, instance, began).check)
        hold = Hold(directory.record(), directory, lease, instance)  # it may have become ready since
        return made(Stay(hold, client, client.signature(), time.monotonic() - began))
    except BaseException:
        if client is not None:
            client.close()
        Hold(record, directory, lease, instance).end()
        raise


def named(runtime: RuntimeDirectory, wanted: str) -> InstanceRecord:
    """The running instance of that id, of an id that begins so, or of that name; raises ModelNotFound."""
    running = instances.running(runtime)
    for found in (
        [record for record in running if record.id == wanted],
        [record for record in running if record.model == wanted],
        [record for record in running if wanted and record.id.startswith(wanted)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelNotFound(f"Several run that are called {wanted!r}: {', '.join(each.id for each in found)}.")
    known = ", ".join(record.id for record in running) or "nothing"
    raise ModelNotFound(f"No running model is called {wanted!r}; what runs is {known}.")
