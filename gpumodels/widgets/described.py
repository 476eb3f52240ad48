"""One model, or one load, as the sidebar and the dashboard get it."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.instances import Load, SleepingModel
    from gpumodels.lease.record import InstanceRecord


def describe(record: InstanceRecord) -> dict[str, str | int]:
    """The JSON of `record`.

    `notebook` is "" where a script asked, which `pid` then names; `since` is ISO 8601 in UTC, and so is `kept_since`,
    since when nobody uses it and it is only kept, or else "", and `over_since`, since when it holds more GPU memory
    than its limit.
    """
    owner = record.owner
    return {
        "id": record.id,
        "name": record.model,
        "notebook": owner.notebook,
        "kernel_id": owner.kernel_id,
        "pid": owner.pid,
        "device": record.device,
        "engine": record.engine,
        "since": moment(record.created),
        "state": record.state,
        "kept_since": moment(record.kept_since),
        "over_since": moment(record.over_since),
    }


def describe_sleeper(sleeper: SleepingModel) -> dict[str, Any]:
    """The JSON of a model that sleeps: what it was, who can wake it, since when, and the bytes that came back."""
    told = describe(replace(sleeper.record, owner=sleeper.owner, state="asleep"))
    return {**told, "asleep_since": moment(sleeper.since), "freed": sleeper.freed}


def describe_load(load: Load) -> dict[str, Any]:
    """The JSON of `load`; `began` is ISO 8601 in UTC."""
    return {**asdict(load), "began": moment(load.began)}


def renamed(told: Mapping[str, Any], notebooks: Mapping[str, str]) -> dict[str, Any]:
    """The same with its notebook as the Jupyter server knows it; `notebooks` maps kernels to the paths of theirs.

    What that server holds itself is no notebook's.
    """
    own = told.get("pid") == os.getpid()
    return {**told, "notebook": notebooks.get(told["kernel_id"], "" if own else told["notebook"])}


def moment(seconds: float | None) -> str:
    """ISO 8601 in UTC of seconds since the epoch; "" for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
