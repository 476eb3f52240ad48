"""Holders of GPU memory: the model, kernel, program or user behind each process that the driver lists."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gpumodels.attribution.processes import in_first_namespace
from gpumodels.attribution.snapshot import Share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.attribution.processes import Look, Process
    from gpumodels.lease import InstanceRecord


class Holders:
    """The holders of the processes in a `Look`, a reading of /proc. `records` are this user's running instances."""

    def __init__(self, look: Look, records: Iterable[InstanceRecord]) -> None:
        self._look = look
        self._records = {record.id: record for record in records}
        known = self._records.values()
        self._containers = {record.engine_ref.get("container"): record for record in known}
        self._notebooks = {record.owner.pid: record.owner.notebook for record in known}
        self._ids_are_ours = in_first_namespace()

    def holder(self, pid: int) -> Share | None:
        """Return the holder of a process that the driver lists, as a share without memory. None if it is unknown.

        The holder is the nearest model or kernel among the process and its ancestors. Environments and command lines
        are read only of this user's processes, because other users could forge theirs.
        """
        process = self._look.process(pid) if self._ids_are_ours else None
        if process is None:
            return None
        for each in self._look.lineage(pid):
            if record := self._record(each):
                return _model(record)
            if each.facts.kernel is not None:
                return self._kernel(each, each.facts.kernel)
        if not process.facts.own:
            return Share("others", "other users", None)
        return Share("process", f"{process.facts.program} (pid {pid})", None, process.facts.notebook, pids=(pid,))

    def _record(self, process: Process) -> InstanceRecord | None:
        facts = process.facts
        by_cgroup = (self._containers[each] for each in facts.containers if each in self._containers)
        return self._records.get(facts.instance) or next(by_cgroup, None)

    def _kernel(self, process: Process, kernel_id: str) -> Share:
        recorded = self._notebooks.get(process.pid, "")  # preferred, because the kernel itself wrote it at a load
        notebook = recorded if recorded.endswith(".ipynb") else process.facts.notebook
        name = PurePath(notebook).name or f"kernel {kernel_id[:8] or process.pid}"
        path = notebook or process.facts.directory
        return Share("kernel", name, None, path, kernel_id=kernel_id, pids=(process.pid,))


def _model(record: InstanceRecord) -> Share:
    owner, over = record.owner, record.over_since is not None
    return Share("model", record.model, None, owner.notebook, record.id, owner.kernel_id, over_limit=over)
