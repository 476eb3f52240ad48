"""Which of the GPU memory that the driver sees belongs to which model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels.attribution import Holders, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpumodels.lease.record import InstanceRecord


def holder(running: Iterable[InstanceRecord]) -> Callable[[int], str | None]:
    """Names who holds GPU memory, by process id, where it is one of the models that run."""
    holders = Holders(Look(), running)

    def name(pid: int) -> str | None:
        share = holders.holder(pid)
        if share is None or share.kind not in ("model", "kernel"):
            return None
        return f"{share.name} of {share.notebook or 'another program'}" if share.kind == "model" else share.name

    return name


def promised(running: Iterable[InstanceRecord]) -> dict[str, int]:
    """Bytes by device UUID that those of the models which are still loading are going to take."""
    found: dict[str, int] = {}
    for record in running:
        if record.state == "loading" and record.devices:
            for device in record.devices:
                share = record.memory // len(record.devices)
                found[device["uuid"]] = found.get(device["uuid"], 0) + share
    return found
