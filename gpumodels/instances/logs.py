"""The output of the model servers of this user, in all processes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.instances.registry import attached, running, runtime_directory
from gpumodels.lease import UnknownRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.lease import InstanceRecord


def instances_with_logs() -> list[InstanceRecord]:
    """Return all instances of this user that have a log, oldest first.

    An instance that ended is included only if no instance of the same model runs. The log of a model that died is kept
    until its notebook notices the end.
    """
    runtime = runtime_directory()
    found = running(runtime)
    models = {record.model for record in found}
    for directory in runtime.instances():
        with suppress(UnknownRecordError):
            record = directory.record()
            if record.model not in models:
                found.append(record)
    return sorted(found, key=lambda record: record.created)


def last_lines(record: InstanceRecord, lines: int) -> list[str]:
    """Return the last lines of an instance's log; [] if the log is gone."""
    directory = runtime_directory().directory(record.id)
    text = engines.attach(record, directory).logs(lines) or directory.kept_log()
    return text.splitlines()[-lines:] if lines else []


def last_lines_of(instance_id: str, lines: int = 100) -> list[str]:
    """Return the last lines of the log of an instance. Raises KeyError if no instance has that id."""
    record = next((record for record in instances_with_logs() if record.id == instance_id), None)
    if record is None:
        raise KeyError(instance_id)
    return last_lines(record, lines)


def follow_log(record: InstanceRecord, lines: int) -> Iterator[str]:
    """Yield the last lines of an instance's log, then each new one, until the instance ends."""
    return attached(record).follow(lines)
