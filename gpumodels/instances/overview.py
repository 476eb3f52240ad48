"""The overview of all models, loads and GPUs of this user at one moment.

All views show parts of it: `ps`, `%models`, the dashboard, the sidebar's feed and the gateway.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpumodels.attribution import Usage
from gpumodels.errors import EngineError
from gpumodels.instances.gpu_usage import recent_usage
from gpumodels.instances.holders import users_of
from gpumodels.instances.loads import list_loads
from gpumodels.instances.registry import attached, running, runtime_directory
from gpumodels.instances.sleep import sleeping
from gpumodels.lease import InstanceRecord, Owner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpumodels.client import Activity
    from gpumodels.instances.loads import Load
    from gpumodels.instances.sleep import SleepingModel
    from gpumodels.lease import RuntimeDirectory

_ANSWER_WITHIN = 0.4  # seconds that a model server has to report its activity
_AT_ONCE = 16  # threads that ask model servers


@dataclass(frozen=True)
class ModelView:
    """One model of this user that runs, loads or sleeps."""

    #: The record of its instance, with its present state. The id is "" for a load that has no instance yet.
    record: InstanceRecord
    #: The processes that use the model, the longest user first.
    users: tuple[Owner, ...] = ()
    #: GPU memory that the model holds, in bytes; None if it is not known or was not measured.
    memory: int | None = None
    #: The activity that the model server reports; None if it reports none or was not asked.
    activity: Activity | None = None
    #: The facts of its sleep if the model sleeps, else None.
    sleep: SleepingModel | None = None
    #: The load if the model is being loaded, else None.
    load: Load | None = None

    @property
    def running(self) -> bool:
        """True if the model has an instance."""
        return self.record.id != "" and self.sleep is None

    @property
    def owner(self) -> Owner:
        """The process that loaded the model. If it has stopped using the model, the first remaining user."""
        loader = self.record.owner
        return loader if not self.users or loader.pid in [user.pid for user in self.users] else self.users[0]

    @property
    def idle(self) -> float | None:
        """Seconds since the last call, or since the load if there was none; 0 while a call runs; None if unknown."""
        return None if self.activity is None else self.activity.idle(self.record.created)

    @property
    def idle_since(self) -> float | None:
        """The moment of the last call, or of the load if there was none, in seconds since the epoch.

        None while a call runs, and if it is not known.
        """
        return None if self.activity is None else self.activity.idle_since(self.record.created)


@dataclass(frozen=True)
class Overview:
    """All models, loads and GPUs of this user at one moment."""

    #: The identity of the runtime directory. Two views with the same identity show the same models.
    place: str
    #: Running models, oldest first, then sleeping models, then loads that have no instance yet.
    models: tuple[ModelView, ...]
    #: The loads that are in progress or failed, oldest first.
    loads: tuple[Load, ...]
    #: The GPUs with their holders. It has no devices if nothing was measured.
    usage: Usage

    @property
    def running(self) -> tuple[ModelView, ...]:
        """The models that have an instance."""
        return tuple(each for each in self.models if each.running)

    @property
    def sleeping(self) -> tuple[ModelView, ...]:
        """The models that sleep."""
        return tuple(each for each in self.models if each.sleep is not None)


def read_overview(*, measured: bool = True) -> Overview:
    """Return the overview of this moment. With `measured`, also read the GPUs and ask the model servers.

    Measuring takes longer. Raises RuntimeDirectoryError and SettingsError.
    """
    runtime = runtime_directory()
    # This order finds a model at least once, even if it falls asleep or is loaded between two of the readings.
    records, asleep, loads = running(runtime), sleeping(runtime), list_loads(runtime.path)
    in_progress = [load for load in loads if not load.failed]
    by_instance = {instance: load for load in in_progress for instance in load.instances}
    views = _running(records, runtime, by_instance)
    usage = recent_usage() if measured else Usage(time.time(), ())
    if measured:
        views = _measured(views, usage)
    waking = set(by_instance)
    views += [_asleep(each) for each in asleep if each.record.id not in waking]
    ids = {record.id for record in records}
    views += [_early(load) for load in in_progress if not ids.intersection(load.instances)]
    return Overview(runtime.identity, tuple(views), tuple(loads), usage)


def _running(records: Iterable[InstanceRecord], runtime: RuntimeDirectory, loads: dict[str, Load]) -> list[ModelView]:
    users = users_of(runtime.instances())
    return [
        ModelView(
            record,
            tuple(users.get(record.id, ())),
            load=loads.get(record.id) if record.state == "loading" else None,
        )
        for record in records
    ]


def _measured(views: list[ModelView], usage: Usage) -> list[ModelView]:
    from gpumodels.attribution import held_in_all  # noqa: PLC0415

    if not views:
        return []
    memory = held_in_all(usage.devices)
    with ThreadPoolExecutor(min(_AT_ONCE, len(views))) as pool:
        activities = list(pool.map(activity_of, [view.record for view in views]))
    return [
        replace(view, memory=memory.get(view.record.id), activity=activity)
        for view, activity in zip(views, activities, strict=True)
    ]


def activity_of(record: InstanceRecord) -> Activity | None:
    """Ask a model server for its activity. Return None while it loads, if it has ended, or if it answers too late."""
    from gpumodels.client import read_activity  # noqa: PLC0415  this imports gRPC, which only views of activity need

    if record.state == "loading":
        return None
    try:
        return read_activity(attached(record).connector(), record.model, _ANSWER_WITHIN)
    except (KeyError, OSError, EngineError):  # the instance has ended meanwhile
        return None


def _asleep(model: SleepingModel) -> ModelView:
    return ModelView(replace(model.record, owner=model.owner, state="asleep", keep=None), sleep=model)


def _early(load: Load) -> ModelView:
    """Return the view of a load that has no instance yet, for example while an image is built."""
    owner = Owner(load.pid, load.kernel_id, load.notebook)
    return ModelView(InstanceRecord("", load.model, "", owner, load.began), load=load)
