"""Models and loads as plain values for JSON, which the sidebar, the dashboard and the REST interface use.

`openapi.json` has their schemas. Moments are text in ISO 8601 in UTC, "" for none. `notebook` is "" if a program
loaded the model; `pid` is then the id of that program's process.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gpumodels.presentation import moment

if TYPE_CHECKING:
    from gpumodels.instances.loads import Load
    from gpumodels.instances.overview import ModelView
    from gpumodels.instances.sleep import SleepingModel
    from gpumodels.lease import InstanceRecord


def record_json(record: InstanceRecord) -> dict[str, Any]:
    """Return a running model without measured values, in the schema ListedModel."""
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


def sleeping_json(sleep: SleepingModel) -> dict[str, Any]:
    """Return a sleeping model, with the process that can wake it as owner, in the schema SleepingModel."""
    record = replace(sleep.record, owner=sleep.owner, state="asleep")
    return {**record_json(record), "asleep_since": moment(sleep.since), "freed": sleep.freed}


def model_json(view: ModelView) -> dict[str, Any]:
    """Return a model with its measured values, in the schema Model. A Jupyter server adds the remaining keys."""
    activity = view.activity
    return {
        **record_json(replace(view.record, owner=view.owner)),
        "asleep_since": "" if view.sleep is None else moment(view.sleep.since),
        "freed": None if view.sleep is None else view.sleep.freed,
        "memory": view.memory,
        "idle_since": view.idle_since,
        "activity": None if activity is None else asdict(activity),
        "holders": [asdict(user) for user in view.users],
    }


def load_json(load: Load) -> dict[str, Any]:
    """Return a load in the schema Load."""
    return {**asdict(load), "began": moment(load.began)}
