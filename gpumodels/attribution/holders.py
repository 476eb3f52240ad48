"""From processes to holders: whose memory it is that the driver shows for a process."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from gpumodels.attribution.processes import are_believed
from gpumodels.attribution.snapshot import Share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.attribution.processes import Look, Process
    from gpumodels.lease.record import InstanceRecord


class Holders:
    """Who the processes of one look belong to, where `records` are the instances of this user that run."""

    def __init__(self, look: Look, records: Iterable[InstanceRecord]) -> None:
        self._look = look
        self._records = {record.id: record for record in records}
        known = self._records.values()
        self._containers = {record.engine_ref.get("container"): record for record in known}
        self._notebooks = {record.owner.pid: record.owner.notebook for record in known}
        self._believed = are_believed()

    def holder(self, pid: int) -> Share | None:
        """Who a process of the driver's list belongs to, as a share of no memory; None where that cannot be told.

        That is the nearest model or kernel among the process and its ancestors. What environments and command lines
        say is heard of this user's own processes only: others may write there what they like.
        """
        process = self._look.process(pid) if self._believed else None
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
        said = self._notebooks.get(process.pid, "")  # by itself, when it loaded a model: it knows best
        notebook = said if said.endswith(".ipynb") else process.facts.notebook
        name = PurePath(notebook).name or f"kernel {kernel_id[:8] or process.pid}"
        place = notebook or process.facts.directory
        return Share("kernel", name, None, place, kernel_id=kernel_id, pids=(process.pid,))


def _model(record: InstanceRecord) -> Share:
    owner, over = record.owner, record.over_since is not None
    return Share("model", record.model, None, owner.notebook, record.id, owner.kernel_id, over_limit=over)
