"""What runs, for whom, and stopping it, from whichever process of the same user."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from gpumodels import engines
from gpumodels.errors import ModelNotFound
from gpumodels.instances.place import runtime_directory
from gpumodels.lease import events, held
from gpumodels.lease.record import UnknownRecordError
from gpumodels.lease.runtime import remove_shared_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.model import Model

#: Handles of this process, by instance id: variables do not own the lifetime, so somebody has to. They lie on `sys`,
#: as the leases do, so that reloading this package forgets none.
_models: dict[str, Model] = sys.__dict__.setdefault("_gpumodels_models", {})


def remember(model: Model) -> None:
    """Keep a handle; those of dead models of the same name, kept for their logs, are dropped."""
    for instance_id in [known for known, old in list(_models.items()) if old is model or _is_over(old, model.name)]:
        del _models[instance_id]
    _models[model.record.id] = model


def _is_over(model: Model, name: str) -> bool:
    return model.name == name and not model.alive and not model.asleep


def handles() -> list[Model]:
    """The models that this process loaded, dead ones too, oldest first. What is left of dead ones is removed."""
    found = [model for model in list(_models.values()) if model.mine]
    for model in found:
        if not model.alive and not model.asleep:
            model.let_go()
    return found


def held_here() -> list[InstanceRecord]:
    """The instances that this process holds now."""
    mine = [each for model in list(_models.values()) if model.mine for each in model.replicas]
    return [each.record for each in mine if each.alive]


def models() -> list[Model]:
    """The models that this process loaded and that can be called, those that sleep too, oldest first."""
    return [model for model in handles() if model.alive or model.asleep]


def running(runtime: RuntimeDirectory | None = None) -> list[InstanceRecord]:
    """Every running or loading model of this user, of all notebooks and programs, oldest first."""
    found = []
    for directory in (runtime or runtime_directory()).instances():
        try:
            record = directory.record()
        except UnknownRecordError:
            continue
        if _is_running(directory, record):
            found.append(_as_seen(directory, record))
    return sorted(found, key=lambda record: record.created)


def meant(wanted: str, known: Sequence[InstanceRecord]) -> list[InstanceRecord]:
    """Those of `known` that may be meant: by id, else by name, else by how the id begins."""
    by_id = [record for record in known if record.id == wanted]
    by_name = [record for record in known if record.model == wanted]
    return by_id or by_name or [record for record in known if wanted and record.id.startswith(wanted)]


def _as_seen(directory: InstanceDirectory, record: InstanceRecord) -> InstanceRecord:
    if record.limit is not None:
        record = record.with_(over_since=directory.over_since)
    if directory.ended is not None:
        return record.with_(state="stopping")
    if record.keep is None or record.state == "loading" or directory.in_use:
        return record
    return record.with_(state="kept", kept_since=directory.kept_since or time.time())  # its keeper notes it in a moment


def _is_running(directory: InstanceDirectory, record: InstanceRecord) -> bool:
    wanted = directory.lease_state is held.LeaseState.HELD
    return wanted and (record.state == "loading" or directory.leash_lives)


def stop_instance(instance_id: str, by: str = "another process") -> None:
    """Stop an instance of this user, whoever loaded it.

    Its holder's next call raises ModelStopped ("stopped from {by} at 14:03"); of replicas, the others go on.

    Raises KeyError if there is none of that id, EngineError if the engine does not answer.
    """
    for model in [model for model in list(_models.values()) if model.mine]:
        for replica in model.replicas:
            if replica.record.id == instance_id:
                replica.stay.stop(by) if len(model.replicas) > 1 else model.stop(by)
                return
    directory = runtime_directory().directory(instance_id)
    try:
        record = directory.record()
    except UnknownRecordError:
        raise KeyError(instance_id) from None
    directory.mark_ended(by)
    try:
        instance = engines.engine(record.engine).attach(record, directory)
        directory.keep_log(instance.logs())
        instance.stop(record.grace)
    except BaseException:
        directory.unmark_ended()
        raise
    remove_shared_memory(record.shared_memory)
    text = f"{record.model} was stopped from {by}"
    events.tell(directory.path.parent, "stopped", instance=instance_id, model=record.model, text=text)


def stop(name: str | None = None, *, everything: bool = False, by: str = "") -> list[InstanceRecord]:
    """Stop models of this process: the one called `name` (or by instance id), the only one, or `everything`.

    `by` says who does, by default this notebook or program. Returns what was stopped. Raises ModelNotFound if that is
    none, or not clear.
    """
    chosen = choose(name, everything=everything)
    for model in chosen:
        model.stop(by)
    return [model.record for model in chosen]


def choose(name: str | None, *, everything: bool = False) -> list[Model]:
    """The models of this process that are meant, as for `stop`; raises ModelNotFound."""
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
