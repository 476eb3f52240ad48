"""Reuse of running instances, by loads that share or find a kept instance, and by `attach`."""

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

_POLL = 0.05  # seconds between two attempts to join an instance that is being started


def find(
    running: Sequence[InstanceRecord], fingerprint: str, request: LoadRequest, chosen: Sequence[Device]
) -> InstanceRecord | None:
    """Return the oldest running instance that fits a request, on the devices that were chosen for the request."""
    wanted = {device.uuid for device in chosen}
    for record in running:
        there = {device["uuid"] for device in record.devices}
        same_device = there == wanted or (request.gpu.is_auto and bool(there) == bool(wanted))
        same_engine = request.engine in {"auto", record.engine}
        if record.state != "stopping" and record.fingerprint == fingerprint and same_engine and same_device:
            return record
    return None


def advice(record: InstanceRecord) -> str:
    """Return the notice for a load that starts a second instance of a running model."""
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
    """Attach to a running instance and return the handle that `make` creates, or None if the instance has just ended.

    Raises LoadTimeout after `timeout` seconds, and LoadFailed if an instance that is being started fails.
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
        if not was_ready:  # write the state here too: the process that began the load may have given up
            attachment.record = replace(attachment.record, state="ready")
            attachment.directory.write(attachment.record)
        attachment.connect(client, time.monotonic() - began)
        # A server that is falling asleep may not have noticed the watch of `connect`. If it answers once more, it has.
        client.wait_ready(deadline, check)
        return make(attachment)
    except BaseException as error:
        attachment.abandon()
        if client is not None:
            client.close()
        attachment.end()
        if was_ready and isinstance(error, OSError | LoadFailed | ModelGone):  # it died or fell asleep
            return None
        raise


def _attach(runtime: RuntimeDirectory, record: InstanceRecord, deadline: float) -> Attachment | None:
    """Return the attachment of a running instance, or None if it has ended. Wait if it is still being started."""
    while (joined := _join(runtime, record)) is None:
        if time.monotonic() > deadline or not _is_starting(runtime, record):
            return None
        time.sleep(_POLL)
    directory, lease = joined
    try:
        record = directory.record()  # read again: now it has the engine's reference, such as the container's id
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
    """Return True if the instance has no leash yet, because the process that loads it is about to start it."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        wanted = directory.ended is None and directory.lease_state is LeaseState.HELD
        return wanted and directory.record().state == "loading"
    return False


def keep(runtime: RuntimeDirectory, record: InstanceRecord, seconds: float) -> None:
    """Keep a running instance for at least `seconds` after its last user."""
    with suppress(KeyError, UnknownRecordError):
        directory = runtime.directory(record.id)
        now = directory.record()
        if now.keep is None or now.keep < seconds:
            directory.write(replace(now, keep=seconds))
            start_keeper(runtime, now)


def named(runtime: RuntimeDirectory, name: str) -> InstanceRecord:
    """Return the running instance with `name` as its id, its model or the start of its id. Raises ModelNotFound."""
    known = running(runtime)
    found = match(name, known)
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(each.id for each in found)
        raise ModelNotFound(f"Several running models are called {name!r}: {ids}. Give the id of one.")
    ids = ", ".join(record.id for record in known) or "none"
    raise ModelNotFound(f"No running model is called {name!r}. Running models: {ids}.")
