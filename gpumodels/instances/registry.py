"""The models that run: the handles of this process, and the records of all processes of this user."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from gpumodels import engines, settings
from gpumodels.errors import ModelNotFound
from gpumodels.lease import LeaseState, RuntimeDirectory, UnknownRecordError, events, remove_shared_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.engines import Instance
    from gpumodels.lease import InstanceDirectory, InstanceRecord, Look
    from gpumodels.model import Model

#: The handles of this process by `id`. So a model lives on when its variable is deleted. The table lies on `sys`, as
#: that of the leases does, so that it survives a reload of this package.
_models: dict[object, Model] = sys.__dict__.setdefault("_gpumodels_models", {})


def runtime_directory() -> RuntimeDirectory:
    """Return the runtime directory that the settings name. Raises RuntimeDirectoryError and SettingsError."""
    return RuntimeDirectory(settings.runtime_dir())


def remember(model: Model) -> None:
    """Keep a handle, as the newest one.

    Ended models of the same name are removed; they were kept only for their logs.
    """
    for known, old in list(_models.items()):
        if old is model or (old.name == model.name and old.over):
            del _models[known]
    _models[id(model)] = model


def handles() -> list[Model]:
    """Clean up models of this process that have ended, and return all models that this process loaded, oldest first."""
    found = [model for model in list(_models.values()) if model.mine]
    for model in found:
        model.clean_up()
    return found


def held_here() -> list[InstanceRecord]:
    """Return the records of the instances that this process holds now."""
    mine = [each for model in list(_models.values()) if model.mine for each in model.replicas]
    return [each.record for each in mine if each.alive]


def models() -> list[Model]:
    """Return the running and sleeping models that this process loaded, oldest first."""
    return [model for model in handles() if not model.over]


def running(runtime: RuntimeDirectory | None = None) -> list[InstanceRecord]:
    """Return the records of all running or loading models of this user, in all notebooks and programs.

    Returns
    -------
    list of InstanceRecord
        The records, oldest first, with the attributes `id`, `model`, `engine`, `device`, `owner`, `state` and `created`
        (in seconds since the epoch).

    Raises
    ------
    RuntimeDirectoryError, SettingsError
        The runtime directory cannot be used.

    Examples
    --------
    >>> for record in gpumodels.running():
    ...     print(record.id, record.model, record.device, record.owner.notebook)

    """
    found = []
    for directory in (runtime or runtime_directory()).instances():
        try:
            record = directory.record()
        except UnknownRecordError:
            continue
        look = directory.look()
        if look.state is LeaseState.HELD and (record.state == "loading" or look.leash_lives):
            found.append(_as_seen(directory, record, look))
    return sorted(found, key=lambda record: record.created)


def _as_seen(directory: InstanceDirectory, record: InstanceRecord, look: Look) -> InstanceRecord:
    """Return a record with its present state, which is read from the locks and from other files of the instance."""
    if record.limit is not None:
        record = replace(record, over_since=directory.over_since)
    if directory.ended is not None:
        return replace(record, state="stopping")
    if record.keep is None or record.state == "loading" or look.in_use:
        return record
    # `kept_since` is missing for a moment, until the keeper has noticed that it is the only holder.
    return replace(record, state="kept", kept_since=directory.kept_since or time.time())


def match(name: str, known: Sequence[InstanceRecord]) -> list[InstanceRecord]:
    """Return the record with the id `name`. Else return those of the model `name`, else by that start of the id."""
    by_id = [record for record in known if record.id == name]
    by_name = [record for record in known if record.model == name]
    return by_id or by_name or [record for record in known if name and record.id.startswith(name)]


def attached(record: InstanceRecord) -> Instance:
    """Return the engine's object for an instance. Raises KeyError if the instance is gone, and EngineUnavailable."""
    return engines.attach(record, runtime_directory().directory(record.id))


def stop_instance(instance_id: str, by: str = "another process") -> None:
    """Stop an instance of this user, of any process.

    The next call of its holder raises ModelStopped ("stopped from {by} at 14:03"). Other replicas of the model run on.
    Raises KeyError if no instance has that id, and EngineError if the engine does not answer.
    """
    for model in [model for model in list(_models.values()) if model.mine]:
        for replica in model.replicas:
            if replica.record.id == instance_id:
                replica.attachment.stop(by) if len(model.replicas) > 1 else model.stop(by)
                return
    directory = runtime_directory().directory(instance_id)
    try:
        record = directory.record()
    except UnknownRecordError:
        raise KeyError(instance_id) from None
    directory.mark_ended(by)
    try:
        instance = engines.attach(record, directory)
        directory.keep_log(instance.logs())
        instance.stop(record.grace)
    except BaseException:
        directory.unmark_ended()
        raise
    remove_shared_memory(record.shared_memory)
    text = f"{record.model} was stopped from {by}"
    events.log(directory.path.parent, "stopped", instance=instance_id, model=record.model, text=text)


def stop(name: str | None = None, *, everything: bool = False, by: str = "") -> list[InstanceRecord]:
    """Stop models of this process.

    Parameters
    ----------
    name : str, optional
        A model's name or the id of an instance. It may be left out if this process has only one model.
    everything : bool
        Stop all models of this process. The default is False.
    by : str
        The place that stops the models, for messages, such as "the sidebar". The default is "this notebook" or "this
        program".

    Returns
    -------
    list of InstanceRecord
        The records of the models that were stopped.

    Raises
    ------
    ModelNotFound
        No model has that name, or no name was given and several models run.

    Examples
    --------
    >>> gpumodels.stop("ctpn")
    >>> gpumodels.stop(everything=True)

    """
    chosen = choose(name, everything=everything)
    for model in chosen:
        model.stop(by)
    return [model.record for model in chosen]


def choose(name: str | None, *, everything: bool = False) -> list[Model]:
    """Return the models of this process that `stop` would stop, for the same parameters. Raises ModelNotFound."""
    mine = models()
    chosen = [model for model in mine if everything or name is None or model.is_called(name)]
    if not everything:
        _check_choice(chosen, mine, name)
    return chosen


def _check_choice(chosen: list[Model], mine: list[Model], name: str | None) -> None:
    names = ", ".join(sorted(model.name for model in mine))
    if not chosen:
        here = f"Running here: {names}." if mine else "Nothing runs here."
        raise ModelNotFound(f"No model {name!r} was loaded by this notebook. {here}" if name else here)
    if len(chosen) > 1 and name is None:
        raise ModelNotFound(f"Several models run here ({names}): name one of them, or stop all.")
