"""Reuse of running instances: shared ones, kept ones, and those that `attach` names."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gpumodels import engines, presentation
from gpumodels.cleanup import start_keeper
from gpumodels.errors import GpumodelsError, LoadFailed, ModelGone, ModelNotFound
from gpumodels.instances import match, running, sign, this_process
from gpumodels.lease import LeaseRefusedError, LeaseState, UnknownRecordError, uninterrupted
from gpumodels.loading.liveness import Liveness
from gpumodels.model import Attachment, memory_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.devices import Device
    from gpumodels.lease import InstanceDirectory, InstanceRecord, Lease, RuntimeDirectory
    from gpumodels.loading.request import LoadRequest
    from gpumodels.model import Model, Report

_POLL = 0.05  # seconds between two looks at an instance that is being started


def find(
    running: Sequence[InstanceRecord], fingerprint: str, request: LoadRequest, chosen: Sequence[Device]
) -> InstanceRecord | None:
    """Return the oldest running instance that answers a request, on the devices that were chosen for it."""
    wanted = {device.uuid for device in chosen}
    for record in running:
        there = {device["uuid"] for device in record.devices}
        same_device = there == wanted or (request.gpu.is_auto and bool(there) == bool(wanted))
        same_engine = request.engine in {"auto", record.engine}
        if record.state != "stopping" and record.fingerprint == fingerprint and same_engine and same_device:
            return record
    return None


def advice(record: InstanceRecord) -> str:
    """Return the notice for a load that starts once more what runs already."""
    who = "this notebook" if record.owner.pid == os.getpid() else "another notebook"
    with suppress(GpumodelsError):
        if held := memory_held(record):
            return f"{who} runs this model; --share saves {presentation.size(held)}"
    return f"{who} runs this model; --share would use that one"


def join(
    runtime: RuntimeDirectory,
    record: InstanceRecord,
    timeout: float,
    report: Report,
    make: Callable[[Attachment], Model],
) -> Model | None:
    """Attach to a running instance and return what `make` makes of it; None if the instance has just ended.

    Raises LoadTimeout after `timeout` seconds, LoadFailed if an instance that is being started fails.
    """
    from gpumodels.client import Client  # noqa: PLC0415

    began = time.monotonic()
    report.progress(f"joining {record.model}", None)
    attachment = _attach(runtime, record, began + timeout)
    if attachment is None:
        return None
    client = None
    was_ready = attachment.record.state != "loading"
    try:
        sign(attachment.directory, attachment.user)
        client = Client(attachment.instance.connector(), record.model)
        deadline, check = began + timeout, Liveness(attachment, report, began).check
        client.wait_ready(deadline, check)
        if not was_ready:  # the process that began this load may have given up since
            attachment.record = replace(attachment.record, state="ready")
            attachment.directory.write(attachment.record)
        attachment.connect(client, time.monotonic() - began)
        # A server that falls asleep just now may not have noticed that we listen. One that answers again has.
        client.wait_ready(deadline, check)
        return make(attachment)
    except BaseException as error:
        attachment.abandon()
        if client is not None:
            client.close()
        attachment.end()
        if was_ready and isinstance(error, OSError | LoadFailed | ModelGone):  # it died, or has just fallen asleep
            return None
        raise


def _attach(runtime: RuntimeDirectory, record: InstanceRecord, deadline: float) -> Attachment | None:
    """Hold the lease of a running instance. Wait for one that is being started; return None if it has ended."""
    while (joined := _join(runtime, record)) is None:
        if time.monotonic() > deadline or not _is_starting(runtime, record):
            return None
        time.sleep(_POLL)
    directory, lease = joined
    try:
        record = directory.record()  # by now it says where the engine runs it
        instance = engines.attach(record, directory)
    except (UnknownRecordError, GpumodelsError):
        lease.release()
        return None
    return Attachment(record, directory, lease, instance, this_process())


def _join(runtime: RuntimeDirectory, record: InstanceRecord) -> tuple[InstanceDirectory, Lease] | None:
    with suppress(LeaseRefusedError), uninterrupted():
        return runtime.join(record.id)
    return None


def _is_starting(runtime: RuntimeDirectory, record: InstanceRecord) -> bool:
    """Return True if the leash is not there yet: the process that loads it is still preparing."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        wanted = directory.ended is None and directory.lease_state is LeaseState.HELD
        return wanted and directory.record().state == "loading"
    return False


def keep(runtime: RuntimeDirectory, record: InstanceRecord, seconds: float) -> None:
    """Let a running instance outlive its users for at least so many seconds."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        now = directory.record()
        if now.keep is None or now.keep < seconds:
            directory.write(replace(now, keep=seconds))
            start_keeper(runtime, now)


def named(runtime: RuntimeDirectory, name: str) -> InstanceRecord:
    """Return the running instance with that id, an id that begins so, or that model. Raises ModelNotFound."""
    known = running(runtime)
    found = match(name, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelNotFound(f"Several run that are called {name!r}: {', '.join(each.id for each in found)}.")
    ids = ", ".join(record.id for record in known) or "nothing"
    raise ModelNotFound(f"No running model is called {name!r}; what runs is {ids}.")
