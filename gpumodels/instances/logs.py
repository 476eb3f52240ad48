"""What model servers printed, whoever loaded them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.instances.place import runtime_directory
from gpumodels.instances.registry import running
from gpumodels.lease.record import UnknownRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.engines.base import Instance
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.record import InstanceRecord


def with_logs() -> list[InstanceRecord]:
    """Every instance of this user whose log can be read, oldest first; those that ended only where none runs of theirs.

    A model that died keeps its log until its notebook meets it.
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
    """The last lines of an instance's log; [] where it is gone."""
    directory, instance = _attached(record)
    text = instance.logs(lines) or directory.kept_log()
    return text.splitlines()[-lines:] if lines else []


def follow_log(record: InstanceRecord, lines: int) -> Iterator[str]:
    """The last lines, then each as it is printed, until the instance ends."""
    return _attached(record)[1].follow(lines)


def _attached(record: InstanceRecord) -> tuple[InstanceDirectory, Instance]:
    directory = runtime_directory().directory(record.id)
    return directory, engines.engine(record.engine).attach(record, directory)
