"""One running model as the sidebar gets it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.lease.record import InstanceRecord


def describe(record: InstanceRecord, notebooks: Mapping[str, str]) -> dict[str, str | int]:
    """The JSON of `record`; `notebooks` maps the kernels of this Jupyter server to the paths of their notebooks.

    `notebook` is "" where a script asked, which `pid` then names; `since` is ISO 8601 in UTC.
    """
    owner = record.owner
    return {
        "id": record.id,
        "name": record.model,
        "notebook": notebooks.get(owner.kernel_id, owner.notebook),
        "kernel_id": owner.kernel_id,
        "pid": owner.pid,
        "device": record.device,
        "engine": record.engine,
        "since": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds"),
        "state": record.state,
    }
