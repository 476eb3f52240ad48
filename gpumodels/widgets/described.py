"""Models and loads as JSON, for the sidebar, the dashboard and the REST interface."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gpumodels.presentation import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.instances import Load, SleepingModel
    from gpumodels.lease.record import InstanceRecord


def describe(record: InstanceRecord) -> dict[str, str | int]:
    """Return a model as JSON: the schema ListedModel of openapi.json.

    `notebook` is "" where a script loaded the model, which `pid` then names. Moments are ISO 8601 in UTC, "" for none:
    `since` it was loaded, `kept_since` only its keeper holds it, `over_since` it exceeds its memory limit.
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
    """Return a sleeping model as JSON: its former instance, the owner that can wake it, and the bytes that it freed."""
    described = describe(replace(sleeper.record, owner=sleeper.owner, state="asleep"))
    return {**described, "asleep_since": moment(sleeper.since), "freed": sleeper.freed}


def describe_load(load: Load) -> dict[str, Any]:
    """Return a load as JSON; `began` is ISO 8601 in UTC."""
    return {**asdict(load), "began": moment(load.began)}


def renamed(described: Mapping[str, Any], notebooks: Mapping[str, str]) -> dict[str, Any]:
    """Return a description with its notebook's path as the Jupyter server knows it, by kernel id in `notebooks`.

    A model that the server itself holds belongs to no notebook.
    """
    own = described.get("pid") == os.getpid()
    path = notebooks.get(described["kernel_id"], "" if own else described["notebook"])
    return {**described, "notebook": path}
